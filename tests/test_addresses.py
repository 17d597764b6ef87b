"""Addresses: of which kinds there are, and told without passwords."""

import pytest

from landcover.addresses import check_place, without_login
from landcover.errors import SettingsError


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("postgresql://ana:secret@db/maps", "postgresql://db/maps"),
        ("postgresql://ana:p@ss/se:cret@db/maps", "postgresql://db/maps"),
        ("'https://secret@a.org/x' and http://u:secret@b", "'https://a.org/x' and http://b"),
        ("s3://key:secret@maps/2025", "s3://maps/2025"),
        ("https://a.org/b?X-Amz-Signature=secret", "https://a.org/b"),
        ("PG:host=db password='se cret' user=ana", "PG:host=db password=... user=ana"),
        ("clickhouse+http:://ana:secret@db/maps", "clickhouse+http:://db/maps"),
        ("server=db;pwd=secret", "server=db;pwd=..."),
        ("https://a.org, ana@example.org", "https://a.org, ana@example.org"),
    ],
)
def test_names_and_passwords_are_left_out(address: str, told: str) -> None:
    assert without_login(address) == told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://ana:secret@example.org/a.tif", "https://example.org/a.tif is neither on"),
        ("file:///data/a.tif", "is neither on this machine nor in a bucket"),
        ("gs://maps/a.tif", "is neither on this machine nor in a bucket"),
        ("s3:///", "is neither on this machine nor in a bucket"),
        ("s3://key:sec/ret@maps/a.tif", "The samples s3://maps/a.tif is given with a name"),
        ("s3://key:secret@maps/a.tif", "The samples s3://maps/a.tif is given with a name"),
    ],
)
def test_other_addresses_are_refused(address: str, told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_place(address, "the samples")
    assert told in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["a.tif", "s3://maps/?.tif", "/data/a@b/a.tif", "~/a.tif", "s3://maps/a@b.tif"]
)
def test_paths_and_buckets_are_taken(address: str) -> None:
    assert without_login(address) == address
    check_place(address, "the samples")
