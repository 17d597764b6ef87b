"""Whether places can be reached with credentials that are about to be saved."""

from prefect_aws import AwsCredentials
from prefect_sqlalchemy import SqlAlchemyConnector
from upath import UPath

from landcover.files import check_writable, is_local
from tasks.access.database import access_of, check_postgis, connect
from tasks.access.database_refusals import place_of
from tasks.access.settings import FolderSettings, MosaicSettings, read_settings
from tasks.access.storage import storage_of


def reach_database(connector: SqlAlchemyConnector) -> str:
    """Make sure that a database can be opened and has PostGIS.

    Args:
        connector: its address and credentials.

    Returns:
        The database, for people.

    Raises:
        LandcoverError: if it cannot be opened, or has no PostGIS.
    """
    with connect(*access_of(connector)) as connection:
        check_postgis(connection)
        return place_of(connection.engine.url)


def reach_buckets(credentials: AwsCredentials) -> list[str]:
    """Make sure that the settings' folders in buckets can be listed (imagery) or written.

    Args:
        credentials: of the S3 service.

    Returns:
        Those folders, for people; none where all are on this machine.

    Raises:
        LandcoverError: if one cannot.
    """
    imagery = read_settings(MosaicSettings).planet_mosaic_dir
    outputs = read_settings(FolderSettings)
    checks = {"PLANET_MOSAIC_DIR": (imagery, _check_listing)}
    checks |= {name.upper(): (folder, check_writable) for name, folder in outputs}
    checked = []
    for setting, (folder, check) in checks.items():
        if folder is not None and not is_local(folder):
            checked.append(f"{setting} {folder}")
            with storage_of(credentials, checked[-1]):
                check(folder, setting)
    return checked


def _check_listing(folder: UPath, setting: str) -> None:  # noqa: ARG001
    """Ask for one key: a month of quads is thousands of them, and there may be none yet."""
    bucket, _, prefix = folder.path.partition("/")
    folder.fs.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
