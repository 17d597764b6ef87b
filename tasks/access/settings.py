"""The settings: environment variables, read from `.env` in the working folder too.

A run reads the groups that it needs once, at its start (see `Settings`). The groups with secrets
are read by `tasks.access.database` and `tasks.access.storage` alone.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from upath import UPath

from landcover.addresses import without_login
from landcover.errors import SettingsError
from landcover.files import expanded
from landcover.imagery.bands import FileBand, parse_bands, parse_static_bands
from landcover.imagery.mosaic import Nodata, parse_nodata
from landcover.vectors import VectorFile, is_vector_file, vector_file


def _local(value: object) -> Path:
    text = str(value)
    if "://" in text:
        raise ValueError(f"{text!r} is not on this machine")
    return Path(expanded(text))


def _folder(value: object) -> UPath:
    text = str(value)
    kind, separator, rest = text.partition("://")
    if separator and (kind != "s3" or not rest.strip("/")):
        raise ValueError(f"{text!r} is neither a folder on this machine nor s3://bucket/folder")
    return UPath(expanded(text))


def _address(text: str) -> str:
    address = urlsplit(text)
    if address.scheme not in {"http", "https"} or not address.hostname:
        raise ValueError("it does not start with https:// or http:// and a host")
    # s3fs would ask below it, and GDAL would leave it out.
    if address.path.strip("/") or address.query:
        raise ValueError("it has a path; the bucket is named in s3://bucket/folder alone")
    return text.rstrip("/")


def _host(text: str) -> str:
    # A folder is that of the server's socket.
    if not text.startswith("/") and not set("@/=? \t").isdisjoint(text):
        raise ValueError(
            "it is more than a host; port, database, role and password have settings of their own"
        )
    return text


def scheduler_address(text: str) -> str:
    """Return the address of a Dask scheduler.

    Raises:
        ValueError: if it is none.
    """
    address = urlsplit(text)
    if address.scheme not in {"tls", "tcp"} or not address.hostname or not address.port:
        raise ValueError("it is not tls:// or tcp://, a host and a port")
    return text.rstrip("/")


def _without_password(value: object) -> object:
    if isinstance(value, str) and without_login(value) != value:
        raise ValueError(
            "it holds an address with a name, a password or a signature, which logs and rows would "
            "show; leave that out"
        )
    return value


def _month_pattern(pattern: str) -> str:
    try:
        pattern.format(year=2025, month=6)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"only {{year}} and {{month}} may stand in braces: {error}") from error
    return pattern


def _names(value: object) -> object:
    return [name.strip() for name in value.split(",")] if isinstance(value, str) else value


# As text in rows and reports.
_FileBand = Annotated[FileBand, PlainSerializer(str)]
Folder = Annotated[UPath, BeforeValidator(_folder), PlainSerializer(str)]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _check_shown(cls, value: object, info: ValidationInfo) -> object:
        """Refuse secrets in what logs and rows show: all fields but those that are secret."""
        kind = cls.model_fields[str(info.field_name)].annotation
        return value if SecretStr in get_args(kind) else _without_password(value)


class MosaicSettings(_Settings):
    """Where the imagery is and which of its bands the model reads."""

    planet_mosaic_dir: Folder | None = Field(
        default=None,
        description="the folder that holds the monthly mosaics, such as /data/nicfi or "
        "s3://bucket/folder",
    )
    mosaic_pattern: Annotated[str, AfterValidator(_month_pattern)] = Field(
        default="nicfi_mosaic_{year}-{month:02d}_analytic.tif",
        description="a month's file name, or a glob for its quads such as "
        "{year}/{month:02d}/*.tif*",
    )
    mosaic_bands: Annotated[dict[str, int | _FileBand], NoDecode, BeforeValidator(parse_bands)] = (
        Field(
            default={"blue": 1, "green": 2, "red": 3, "nir": 4},
            description="names and numbers of the bands that the model reads, such as "
            "blue=1,green=2,red=3,nir=4; where each band is a file of its own, how the file's name "
            "ends, such as red=B04.tif,nir=B08.tif (B04.tif:2 is its second band)",
        )
    )
    mosaic_nodata: Annotated[Nodata, BeforeValidator(parse_nodata)] = Field(
        default=None,
        description="a value that counts as no data in every band, whatever the files say, such as "
        "0; or none: no value does that the files do not declare",
    )
    static_bands: Annotated[dict[str, _FileBand], NoDecode, BeforeValidator(parse_static_bands)] = (
        Field(
            default={},
            description="bands that do not change from month to month, on the pixels of the "
            "imagery: names, and the path of a file or a glob, such as "
            "elevation=/data/dem.tif,slope=/data/slope.tif:1",
        )
    )

    @field_validator("static_bands")
    @classmethod
    def _check_names(cls, value: dict[str, FileBand], info: ValidationInfo) -> dict[str, FileBand]:
        twice = value.keys() & info.data.get("mosaic_bands", {}).keys()
        if twice:
            raise ValueError(f"MOSAIC_BANDS has {', '.join(sorted(twice))} too")
        return value


class AoiSettings(_Settings):
    """The area of interest."""

    aoi_definition: str = Field(
        description="WKT in longitude and latitude (or EWKT, SRID=3857;POLYGON(...)), or the path "
        "of a vector file, such as a GeoPackage, GeoJSON or Shapefile"
    )


class PolygonSettings(_Settings):
    """Where the training polygons are and what their columns are called."""

    training_polygon_table: str = Field(
        description="table, schema.table, or the path of a vector file"
    )
    training_polygon_class_col: str = Field(
        description="the column that holds each polygon's class label"
    )
    training_polygon_geom_col: str | None = Field(
        default=None,
        description="the geometry column of the polygon table, such as geom (a file needs none)",
    )
    training_polygon_id_col: str | None = Field(
        default=None,
        description="the column that holds each polygon's id; of a file also fid, the feature id "
        "that QGIS shows (may be left out)",
    )
    training_polygon_month_col: str | None = Field(
        default=None,
        description="the column that holds each polygon's month, such as a date, 2025-06, "
        "06/2025 or June 2025 (left out: all polygons serve every month)",
    )

    @property
    def vector_file(self) -> VectorFile | None:
        """The file of the polygons where they are in a file, else None."""
        named = self.training_polygon_table
        return vector_file(named) if is_vector_file(named) else None


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], NoDecode, BeforeValidator(_names)
]


class DeforestationSettings(_Settings):
    """Which classes are forest, and where forest was before the first month."""

    forest_classes: Names = Field(
        default=("Forest",),
        description="the classes that are forest, such as Forest,Mangrove",
    )
    unclear_classes: Names = Field(
        default=("Cloud", "Shadow", "Haze", "Sensor Error"),
        description="the classes that hide the ground; every other class is non-forest",
    )
    forest_baseline: Folder | None = Field(
        default=None,
        description="a raster of 1 where there was forest before the first month and 0 elsewhere; "
        "forest is lost only there (left out: it is forest what two clear months agree on)",
    )


class RegionSettings(_Settings):
    """Which regions hectares are given for, if any."""

    regions: str | None = Field(
        default=None,
        description="polygons that hectares are given for, such as parishes or protected areas: "
        "table, schema.table, or the path of a vector file, in any coordinate reference system "
        "(left out: none)",
    )
    regions_name_col: str | None = Field(
        default=None,
        description="the column that holds each region's name (left out: name or nombre, or the "
        "one column of text)",
    )

    @property
    def vector_file(self) -> VectorFile | None:
        """The file of the regions where they are in a file, else None."""
        return vector_file(self.regions) if self.regions and is_vector_file(self.regions) else None


class FolderSettings(_Settings):
    """Where results and work files go: folders, or s3:// addresses of folders in a bucket."""

    prepared_data_dir: Folder = Field(
        default=UPath("data/prepared"), description="a folder for the samples"
    )
    model_output_dir: Folder = Field(
        default=UPath("data/models"), description="a folder for the models"
    )
    prediction_output_dir: Folder = Field(
        default=UPath("data/predictions"), description="a folder for the maps"
    )
    work_dir: Folder = Field(
        default=UPath("data/work"), description="a folder for work in progress"
    )


class ClusterSettings(_Settings):
    """The Dask cluster that predicts windows; without one, this machine does."""

    dask_scheduler: Annotated[str, AfterValidator(scheduler_address)] | None = Field(
        default=None,
        description="the scheduler of a Dask cluster whose workers predict the windows, such as "
        "tls://host:8786, or tcp://host:8786 in a network where everyone is trusted",
    )
    dask_key_in_clear: bool = Field(
        default=False,
        description="true where a key of the Prefect API may travel to a cluster without TLS",
    )


class ReportSettings(_Settings):
    """How the report is written."""

    report_language: Literal["en", "es"] = Field(
        default="en", description="the language of the report: en (English) or es (Spanish)"
    )


SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


class DatabaseSettings(_Settings):
    """The PostGIS database; without `DB_HOST`, the embedded one."""

    db_host: Annotated[str, AfterValidator(_host)] | None = Field(
        default=None, description="the database server, such as localhost"
    )
    db_port: int = Field(default=5432, ge=1, le=65535, description="a port number, such as 5432")
    db_name: str | None = Field(default=None, description="the name of the database")
    db_user: str | None = Field(default=None, description="the database role")
    db_password: SecretStr | None = Field(default=None, description="the password of the role")
    db_schema: str | None = Field(
        default=None,
        description="the schema of the tables ml_models and raster_predictions (left out: the "
        "first of the role's search path)",
    )
    db_sslmode: SslMode | None = Field(
        default=None,
        description="how the connection is encrypted: disable, allow, prefer, require, verify-ca "
        "or verify-full (left out: prefer)",
    )
    metadata_db: Annotated[Path, BeforeValidator(_local)] = Field(
        default=Path("data/chocoforest.db"),
        description="the embedded SQLite file that is used without DB_HOST",
    )


class StorageSettings(_Settings):
    """The S3 service, where a folder is an s3:// address."""

    s3_endpoint_url: Annotated[str, AfterValidator(_address)] | None = Field(
        default=None,
        description="the address of the S3 service, such as https://nyc3.digitaloceanspaces.com "
        "(left out: Amazon's)",
    )
    s3_region: str | None = Field(default=None, description="the region of the bucket")
    s3_access_key_id: SecretStr | None = Field(default=None, description="the access key")
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="the secret that belongs to the access key"
    )


SETTINGS_GROUPS = (
    MosaicSettings,
    AoiSettings,
    PolygonSettings,
    DeforestationSettings,
    RegionSettings,
    FolderSettings,
    ClusterSettings,
    ReportSettings,
    DatabaseSettings,
    StorageSettings,
)

# The groups that every run reads; its flow says which others it needs.
EVERY_RUN: tuple[type[BaseSettings], ...] = (FolderSettings, MosaicSettings, ReportSettings)

Group = TypeVar("Group", bound=BaseSettings)


class Settings:
    """Groups of settings without secrets, as they were at the start of a run.

    `settings[MosaicSettings].mosaic_bands` is one of them.
    """

    def __init__(self, groups: Iterable[BaseSettings]) -> None:
        """Keep the groups."""
        self._groups = {type(group): group for group in groups}

    def __getitem__(self, group: type[Group]) -> Group:
        """Return a group that the run has read."""
        found = self._groups[group]
        assert isinstance(found, group)
        return found

    def __contains__(self, group: type[BaseSettings]) -> bool:
        """Tell whether the run has read a group."""
        return group in self._groups


def read_settings(group: type[Group]) -> Group:
    """Read a group of settings.

    Raises:
        SettingsError: if a setting is missing or malformed; it names every such one and says
            what it should look like, and never shows a secret.
    """
    try:
        return group()
    except ValidationError as error:
        told = "; ".join(_describe(group, str(item["loc"][0]), item) for item in error.errors())
        where = ".env" if Path(".env").exists() else "an .env file (there is none here)"
        raise SettingsError(
            f"{told}. Set it in the environment or in {where} in {Path.cwd()}."
        ) from None


def _describe(group: type[BaseSettings], name: str, item: ErrorDetails) -> str:
    field = group.model_fields[name]
    if item["type"] == "missing":
        return f"{name.upper()} is not set; it should be {field.description}"
    return (
        f"{name.upper()} is wrong ({item['msg'].removeprefix('Value error, ')}); "
        f"it should be {field.description}"
    )
