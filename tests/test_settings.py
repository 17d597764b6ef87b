"""Settings that will not do: each is named, with what it should be."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

from landcover.errors import SettingsError
from tasks.access.settings import (
    DatabaseSettings,
    FolderSettings,
    MosaicSettings,
    PolygonSettings,
    ReportSettings,
    StorageSettings,
    read_settings,
)

DROP = "'; DROP TABLE polygons; --"
BRACES = "MOSAIC_PATTERN is wrong (only {year} and {month} may stand in braces"


@pytest.mark.parametrize(
    ("group", "name", "value", "told"),
    [
        (PolygonSettings, "TRAINING_POLYGON_TABLE", None, "is not set; it should be table, schema"),
        (PolygonSettings, "TRAINING_POLYGON_CLASS_COL", "", "is not set; it should be the column"),
        (MosaicSettings, "MOSAIC_BANDS", "blue,green", "is wrong ('blue,green' is not a list"),
        (MosaicSettings, "MOSAIC_BANDS", "blue,green", "such as blue=1,green=2"),
        (MosaicSettings, "MOSAIC_BANDS", "blue=1,green=1", "of distinct name=number pairs"),
        (MosaicSettings, "MOSAIC_BANDS", DROP, "MOSAIC_BANDS is wrong"),
        (MosaicSettings, "MOSAIC_PATTERN", "{yaer}.tif", BRACES),
        (MosaicSettings, "MOSAIC_PATTERN", "{year[0]}-{month.name}.tif", BRACES),
        (StorageSettings, "S3_ENDPOINT_URL", DROP, "S3_ENDPOINT_URL is wrong"),
        (ReportSettings, "REPORT_LANGUAGE", DROP, "REPORT_LANGUAGE is wrong"),
    ],
)
def test_a_setting_that_will_not_do_is_named_with_what_it_should_be(
    group: type[BaseSettings],
    name: str,
    value: str | None,
    told: str,
    settings: Callable[..., None],
) -> None:
    settings(TRAINING_POLYGON_TABLE="polygons", TRAINING_POLYGON_CLASS_COL="class")
    settings(**{name: value})
    with pytest.raises(SettingsError) as caught:
        read_settings(group)
    assert name in str(caught.value)
    assert told in str(caught.value)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("group", "name", "value"),
    [
        (DatabaseSettings, "DB_HOST", "postgresql://ana:hidden@db.example.org:5432/maps"),
        (DatabaseSettings, "DB_HOST", "ana:hidden@db.example.org"),
        (DatabaseSettings, "DB_HOST", "host=db password=hidden"),
        (DatabaseSettings, "DB_NAME", "postgresql://ana:hidden@db/maps"),
        (DatabaseSettings, "METADATA_DB", "postgresql://ana:hidden@db/maps"),
        (StorageSettings, "S3_ENDPOINT_URL", "https://key:hidden@example.org"),
        (StorageSettings, "S3_ENDPOINT_URL", "key:hidden@example.org"),
        (StorageSettings, "S3_ENDPOINT_URL", "https://example.org/?X-Amz-Signature=hidden"),
        (MosaicSettings, "PLANET_MOSAIC_DIR", "s3://key:hidden@maps/nicfi"),
        (MosaicSettings, "PLANET_MOSAIC_DIR", "https://example.org/nicfi?key=hidden"),
        (FolderSettings, "WORK_DIR", "s3://key:hid/hidden@maps"),
        (PolygonSettings, "TRAINING_POLYGON_TABLE", "PG:host=db password=hidden"),
    ],
)
def test_a_password_in_the_wrong_setting_is_refused_and_never_repeated(
    group: type[BaseSettings], name: str, value: str, settings: Callable[..., None]
) -> None:
    settings(TRAINING_POLYGON_TABLE="polygons", TRAINING_POLYGON_CLASS_COL="class")
    settings(**{name: value})
    with pytest.raises(SettingsError, match=f"^{name} is wrong .*; it should be") as caught:
        read_settings(group)
    assert "hidden" not in str(caught.value)


PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
WRITTEN = re.findall(
    r"^\| `(DB_PASSWORD=.+?)` \| `(.+?)`(?:,.*)? \|$", PAGE.read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("line", "read"), WRITTEN)
def test_a_value_is_read_from_a_file_as_the_page_says(
    line: str, read: str, settings: Callable[..., None]
) -> None:
    settings(DB_PASSWORD=None, DB_PORT=5432)
    Path(".env").write_text(f"{line}\n")
    password = read_settings(DatabaseSettings).db_password
    assert password is not None
    assert password.get_secret_value() == read


def test_the_page_shows_how_values_are_written() -> None:
    assert len(WRITTEN) == 13


@pytest.mark.parametrize("host", ["localhost", "10.0.0.1", "::1", "a,b", "/var/run/postgresql"])
def test_every_form_of_a_host_is_taken(host: str, settings: Callable[..., None]) -> None:
    # What is secret may look like an address.
    settings(DB_HOST=host, DB_PASSWORD="x://a:b@c")
    assert read_settings(DatabaseSettings).db_host == host


def test_the_home_folder_is_found_in_every_path(
    settings: Callable[..., None], tmp_path: Path
) -> None:
    settings(HOME=tmp_path, MODEL_OUTPUT_DIR="~/models", METADATA_DB="~/rows.db")
    settings(PLANET_MOSAIC_DIR="~", WORK_DIR="s3://bucket/~")
    assert read_settings(FolderSettings).model_output_dir == tmp_path / "models"
    assert str(read_settings(FolderSettings).work_dir) == "s3://bucket/~"
    assert read_settings(DatabaseSettings).metadata_db == tmp_path / "rows.db"
    assert read_settings(MosaicSettings).planet_mosaic_dir == tmp_path
    settings(MODEL_OUTPUT_DIR="~nobody-of-this-name/models")
    with pytest.raises(SettingsError, match="home folder of a user, which is not known"):
        read_settings(FolderSettings)
