"""The settings: environment variables, read from `.env` in the working folder too.

Each group is read by the one place that needs it. The group with secrets is read by
`tasks.database` alone.
"""

from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from landcover.errors import SettingsError
from landcover.files import check_writable
from landcover.mosaic import parse_bands

VECTOR_SUFFIXES = {".gpkg", ".geojson", ".json", ".shp", ".fgb", ".parquet"}


def _local_folder(value: object) -> Path:
    text = str(value)
    if "://" in text:
        raise ValueError(f"{text!r} is not a folder on this machine")
    return Path(text)


def _month_pattern(pattern: str) -> str:
    try:
        pattern.format(year=2025, month=6)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"only {{year}} and {{month}} may stand in braces: {error}") from error
    return pattern


Folder = Annotated[Path, BeforeValidator(_local_folder)]


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )


class MosaicSettings(_Settings):
    """Where the imagery is and which of its bands the model reads."""

    planet_mosaic_dir: Folder | None = Field(
        default=None,
        description="the folder that holds the monthly mosaics, such as /data/nicfi",
    )
    mosaic_pattern: Annotated[str, AfterValidator(_month_pattern)] = Field(
        default="nicfi_mosaic_{year}-{month:02d}_analytic.tif",
        description="a month's file name, or a glob for its quads such as "
        "{year}/{month:02d}/*.tif*",
    )
    mosaic_bands: Annotated[dict[str, int], NoDecode, BeforeValidator(parse_bands)] = Field(
        default={"blue": 1, "green": 2, "red": 3, "nir": 4},
        description="names and numbers of the bands that the model reads, such as "
        "blue=1,green=2,red=3,nir=4",
    )


class AoiSettings(_Settings):
    """The area of interest."""

    aoi_definition: str = Field(
        description="WKT in longitude and latitude (or EWKT, SRID=3857;POLYGON(...)), or the path "
        "of a GeoJSON, GeoPackage or Shapefile"
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
        default=None, description="the column that holds each polygon's id (may be left out)"
    )
    training_polygon_month_col: str | None = Field(
        default=None,
        description="the column that holds each polygon's month, a date or text YYYY-MM "
        "(left out: all polygons serve every month)",
    )

    @property
    def vector_file(self) -> Path | None:
        """The path of the polygons where they are in a file, else None."""
        path = Path(self.training_polygon_table)
        return path if path.suffix.lower() in VECTOR_SUFFIXES else None


class FolderSettings(_Settings):
    """Where results and work files go."""

    prepared_data_dir: Folder = Field(
        default=Path("data/prepared"), description="a folder for the samples"
    )
    model_output_dir: Folder = Field(
        default=Path("data/models"), description="a folder for the models"
    )
    prediction_output_dir: Folder = Field(
        default=Path("data/predictions"), description="a folder for the maps"
    )
    work_dir: Folder = Field(default=Path("data/work"), description="a folder for work in progress")


class DatabaseSettings(_Settings):
    """The PostGIS database; without `DB_HOST`, the embedded one."""

    db_host: str | None = Field(default=None, description="the database server, such as localhost")
    db_port: int = Field(default=5432, ge=1, le=65535, description="a port number, such as 5432")
    db_name: str | None = Field(default=None, description="the name of the database")
    db_user: str | None = Field(default=None, description="the database role")
    db_password: SecretStr | None = Field(default=None, description="the password of the role")
    metadata_db: Folder = Field(
        default=Path("data/chocoforest.db"),
        description="the embedded SQLite file that is used without DB_HOST",
    )


SETTINGS_GROUPS = (
    MosaicSettings,
    AoiSettings,
    PolygonSettings,
    FolderSettings,
    DatabaseSettings,
)

Group = TypeVar("Group", bound=BaseSettings)


def read_settings(group: type[Group]) -> Group:
    """Read a group of settings.

    Raises:
        SettingsError: if a setting is missing or malformed; it names every such one and says
            what it should look like, and never shows a secret.
    """
    try:
        return group()
    except ValidationError as error:
        told = "; ".join(_tell(group, str(item["loc"][0]), item) for item in error.errors())
        where = ".env" if Path(".env").exists() else "an .env file (there is none here)"
        raise SettingsError(
            f"{told}. Set it in the environment or in {where} in {Path.cwd()}."
        ) from None


def ready_folders() -> FolderSettings:
    """Read where results and work files go, and make sure that all of it can be written.

    Raises:
        SettingsError: if a setting is malformed.
        LandcoverError: if a folder cannot be made or written.
    """
    folders = read_settings(FolderSettings)
    for setting, folder in folders:
        check_writable(folder, setting.upper())
    return folders


def _tell(group: type[BaseSettings], name: str, item: ErrorDetails) -> str:
    field = group.model_fields[name]
    if item["type"] == "missing":
        return f"{name.upper()} is not set; it should be {field.description}"
    return (
        f"{name.upper()} is wrong ({item['msg'].removeprefix('Value error, ')}); "
        f"it should be {field.description}"
    )
