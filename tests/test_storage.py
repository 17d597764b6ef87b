"""The bucket: s3fs and GDAL reach the same one, whatever the environment holds of Amazon's."""

import ssl
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import rasterio
from botocore.exceptions import ClientError
from upath import UPath

from landcover.errors import LandcoverError, NothingThereError, SettingsError, TransientError
from landcover.imagery.quads import find_quads, read_index
from landcover.imagery.sources import find_sources
from landcover.model.sampling import read_samples
from soak.proxy import proxy
from tasks.access.refusals import advise_on_endpoint, explain
from tasks.access.storage import storage
from tests.rasters import write_raster
from tests.servers.swift import Bucket, S3Server, new_bucket
from tests.test_database import make_certificate


@pytest.fixture
def image(bucket: Bucket, tmp_path: Path) -> str:
    """An image in a bucket."""
    write_raster(tmp_path / "image.tif", np.full((1, 4, 4), 7, np.uint8))
    bucket.filesystem.put_file(str(tmp_path / "image.tif"), f"{bucket.name}/image.tif")
    return f"{bucket.url}/image.tif"


@pytest.fixture
def keys(settings: Callable[..., None], s3_server: S3Server) -> Callable[..., None]:
    settings(
        AWS_CA_BUNDLE=None,
        S3_ENDPOINT_URL=s3_server.endpoint,
        S3_REGION=s3_server.region,
        S3_ACCESS_KEY_ID=s3_server.key,
        S3_SECRET_ACCESS_KEY=s3_server.secret,
    )
    return settings


def reach(image: str) -> None:
    """Read an image as a run does: s3fs finds it, GDAL reads it."""
    with storage(None, image):
        assert UPath(image).exists()
        with rasterio.open(image) as opened:
            assert opened.read(1).max() == 7


NO_PROFILE = {"AWS_PROFILE": "of-another-project"}


@pytest.mark.parametrize(
    "variables",
    [
        NO_PROFILE,
        {"AWS_CONFIG_FILE": "{broken}", "AWS_SHARED_CREDENTIALS_FILE": "{broken}"},
        {"AWS_NO_SIGN_REQUEST": "YES"},
        {"AWS_SESSION_TOKEN": "of another key"},
        {"AWS_ACCESS_KEY_ID": "another", "AWS_SECRET_ACCESS_KEY": "another"},
        {"AWS_S3_ENDPOINT": "127.0.0.1:1", "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
        {"AWS_VIRTUAL_HOSTING": "TRUE", "AWS_HTTPS": "YES"},
        {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported", "AWS_USE_FIPS_ENDPOINT": "true"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_what_is_set_wins_over_what_the_environment_holds(keys, image, variables, tmp_path: Path):
    broken = tmp_path / "broken"
    broken.write_text("[default\n")
    keys(**{name: value.format(broken=broken) for name, value in variables.items()})
    reach(image)


def test_an_address_of_the_environment_is_taken_by_both(keys, image, s3_server: S3Server):
    keys(S3_ENDPOINT_URL=None, AWS_ENDPOINT_URL=s3_server.endpoint)
    reach(image)


def test_keys_of_a_profile_are_taken_by_both(keys, image, s3_server: S3Server, tmp_path: Path):
    file = tmp_path / "credentials"
    file.write_text(
        f"[ours]\naws_access_key_id={s3_server.key}\naws_secret_access_key={s3_server.secret}\n"
    )
    keys(
        S3_ACCESS_KEY_ID=None,
        S3_SECRET_ACCESS_KEY=None,
        AWS_SHARED_CREDENTIALS_FILE=file,
        AWS_PROFILE="ours",
    )
    reach(image)


def test_a_profile_that_is_not_there_matters_only_where_it_is_needed(keys, tmp_path: Path):
    keys(S3_ACCESS_KEY_ID=None, S3_SECRET_ACCESS_KEY=None, **NO_PROFILE)
    write_raster(tmp_path / "image.tif", np.full((1, 4, 4), 7, np.uint8))
    reach(str(tmp_path / "image.tif"))
    with (
        pytest.raises(SettingsError, match=r"for s3://maps/a.tif: .*of-another-project.*AWS_PROFI"),
        storage(None, "s3://maps/a.tif"),
    ):
        UPath("s3://maps/a.tif").exists()


# --- the cause in hand ----------------------------------------------------------------------------


def failure(what: str) -> LandcoverError:
    with pytest.raises(LandcoverError) as told, storage(None, what):
        UPath(what).read_bytes()
    return told.value


@pytest.mark.parametrize(
    ("endpoint", "kind", "words"),
    [
        ("http://127.0.0.1:1", TransientError, "nothing listens at that port"),
        ("http://nowhere.invalid", TransientError, "its name is not known"),
        ("https://127.0.0.1:{port}", SettingsError, "does not speak TLS: write http:// in place"),
    ],
)
def test_an_address_that_does_not_answer_is_told_with_its_cause(
    keys, s3_server: S3Server, endpoint: str, kind: type[LandcoverError], words: str
):
    keys(S3_ENDPOINT_URL=endpoint.format(port=s3_server.endpoint.rpartition(":")[2]))
    error = failure("s3://maps/a.tif")
    assert type(error) is kind
    assert words in str(error)
    assert "s3://maps/a.tif" in str(error)


@pytest.fixture
def unknown_signer(tmp_path: Path) -> Iterator[str]:
    """A server with a certificate that nobody knows who signed."""
    make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"https://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_certificate_that_cannot_be_verified_is_told_with_its_variable(keys, unknown_signer: str):
    keys(S3_ENDPOINT_URL=unknown_signer)
    error = failure("s3://maps/a.tif")
    assert isinstance(error, SettingsError)
    assert f"The certificate of {unknown_signer} cannot be verified" in str(error)
    assert "set AWS_CA_BUNDLE to a file" in str(error)


def test_the_password_of_an_address_is_not_repeated(keys):
    keys(S3_ENDPOINT_URL=None, AWS_ENDPOINT_URL="http://ana:hidden@127.0.0.1:1")
    assert "http://127.0.0.1:1 cannot be reached" in str(error := failure("s3://maps/a.tif"))
    assert "hidden" not in str(error)


def test_an_address_with_a_path_is_told(keys):
    keys(S3_ENDPOINT_URL="https://nyc3.digitaloceanspaces.com/maps")
    assert "it has a path; the bucket is named in s3://" in str(failure("s3://maps/a.tif"))


@pytest.mark.parametrize(
    ("what", "endpoint", "advice"),
    [
        ("s3://maps/x", "https://maps.nyc3.example.com", "set it to https://nyc3.example.com"),
        ("the mosaic s3://Maps", "http://maps.host:9000/", "set it to http://host:9000"),
        ("s3://maps/x", "https://nyc3.example.com", None),
        ("s3://map/x", "https://maps.example.com", None),
        ("s3://maps/x", None, None),
        ("the headers of the imagery", "https://maps.example.com", None),
    ],
)
def test_an_address_that_begins_with_the_buckets_name_is_known(what, endpoint, advice):
    told = advise_on_endpoint(what, endpoint)
    assert told is None if advice is None else told and told.endswith(advice)


def test_such_an_address_is_told_where_nothing_is_found_and_not_where_it_works(
    keys, s3_server: S3Server, tmp_path: Path
):
    # The server's address 127.0.0.1 begins with the bucket's name.
    assert s3_server.endpoint.startswith("http://127.")
    with new_bucket(s3_server, "127") as bucket:
        write_raster(tmp_path / "image.tif", np.full((1, 4, 4), 7, np.uint8))
        bucket.filesystem.put_file(str(tmp_path / "image.tif"), f"{bucket.name}/image.tif")
        reach("s3://127/image.tif")
        with (
            pytest.raises(NothingThereError, match="Or S3_ENDPOINT_URL begins with the bucket's"),
            storage(None, "the mosaic s3://127/*.jp2"),
        ):
            find_quads("s3://127/*.jp2", "the mosaic")
    assert "S3_ENDPOINT_URL begins with the bucket's name" in str(failure("s3://127/image.tif"))


def look_for_quads(path: UPath) -> object:
    return find_quads(str(path.parent / "*.tif"), "it")


@pytest.mark.parametrize(
    "work",
    [
        UPath.read_bytes,
        UPath.exists,
        lambda path: path.write_bytes(b"more"),
        lambda path: path.unlink(),
        lambda path: path.fs.get_file(str(path), "here"),
        lambda path: list(path.parent.iterdir()),
        look_for_quads,
        lambda path: find_sources(str(path)),
        lambda path: read_samples(path, ["blue"]),
        lambda path: read_index(path),
    ],
)
def test_an_answer_that_is_cut_short_may_heal(
    keys, image: str, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, work
):
    monkeypatch.setattr("tasks.access.storage.REQUEST_RETRIES", 0)
    port = int(s3_server.endpoint.rpartition(":")[2])
    with proxy(port, http=True, rate=1, kinds=["truncate"]) as cut:
        keys(S3_ENDPOINT_URL=cut.endpoint)
        with pytest.raises(TransientError, match="cannot be reached for"), storage(None, image):
            work(UPath(image))
    assert cut.faults["truncate"] > 0


def test_a_disk_that_does_not_answer_is_not_told_as_a_bucket():
    of_disk = TimeoutError(110, "Connection timed out", "/mnt/maps/a.tif")
    assert explain(of_disk, "MODEL_OUTPUT_DIR /mnt/maps", None) is None


def refused(code: str, status: int = 400, **more: object) -> ClientError:
    answer = {"HTTPStatusCode": status, "HTTPHeaders": more.pop("headers", {})}
    error = {"Code": code, "Message": "it says", **more}
    return ClientError({"Error": error, "ResponseMetadata": answer}, "GetObject")


@pytest.mark.parametrize(
    ("refusal", "endpoint", "kind", "words"),
    [
        (
            refused("AuthorizationHeaderMalformed", Region="sfo3"),
            "https://nyc3.example.com",
            SettingsError,
            "in another region (.*): set S3_REGION to sfo3, and S3_ENDPOINT_URL to the address",
        ),
        (
            refused("301", 301, headers={"x-amz-bucket-region": "sa-east-1"}),
            None,
            SettingsError,
            "in another region (.*): set S3_REGION to sa-east-1.",
        ),
        (
            refused("301", 301, headers={"location": "https://example.com/maps"}),
            "http://example.com",
            SettingsError,
            "wants TLS for s3://maps/a.tif: write https:// in S3_ENDPOINT_URL",
        ),
        (
            refused("400", 400),
            "http://example.com",
            SettingsError,
            "if it speaks TLS, write https:// in S3_ENDPOINT_URL",
        ),
        (refused("NoSuchKey", 404), None, LandcoverError, "has nothing at s3://maps/a.tif"),
        (refused("AccessDenied", 403), None, LandcoverError, "set AWS_REQUEST_PAYER=requester"),
        (
            refused("NoSuchBucket", 404),
            "https://maps.example.com",
            SettingsError,
            "S3_ENDPOINT_URL begins with the bucket's name",
        ),
    ],
)
def test_a_refusal_names_the_cause_that_is_in_hand(refusal, endpoint, kind, words):
    told = explain(refusal, "s3://maps/a.tif", endpoint)
    assert type(told) is kind
    before, _, after = words.partition("(.*)")
    assert before in str(told)
    assert after in str(told)
