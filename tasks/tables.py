"""The tables `ml_models` and `raster_predictions`, as the team's other software knows them."""

from collections.abc import Iterator
from contextlib import contextmanager

from geoalchemy2 import Geometry
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects import postgresql

from landcover.errors import LandcoverError, SettingsError
from tasks.database import database, schema

DETAILS = "details"  # beyond the columns that other software knows

metadata = MetaData()

ml_models = Table(
    "ml_models",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("model_filename", String, unique=True),
    Column("model_type", String),
    Column("trained_at", DateTime(timezone=True), server_default=func.now()),
    Column("training_data_source", String),
    Column("parameters", JSON().with_variant(postgresql.JSONB(), "postgresql")),
    Column("metrics", JSON().with_variant(postgresql.JSONB(), "postgresql")),
    Column("year", Integer),
    Column("month", Integer),
)

raster_predictions = Table(
    "raster_predictions",
    metadata,
    Column("prediction_id", Integer, primary_key=True),
    Column("prediction_filename", String, unique=True),
    Column("prediction_path", String),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("model_id", Integer, ForeignKey("ml_models.model_id")),
    Column("source_mosaic", String),
    Column("year", Integer),
    Column("month", Integer),
    Column(
        "aoi_definition",
        Text().with_variant(Geometry("MULTIPOLYGON", srid=4326, spatial_index=False), "postgresql"),
    ),
    Column(DETAILS, JSON().with_variant(postgresql.JSONB(), "postgresql")),
)


@contextmanager
def tables(block: str | None) -> Iterator[Connection]:
    """Connect to a database in which both tables are as they should be, for one transaction.

    Args:
        block: the name of the database block (see `tasks.database.database`).

    Raises:
        SettingsError: if a table of the same name is of another kind, or the schema or PostGIS is
            missing.
        LandcoverError: if the role may not write the tables.
    """
    with database(block) as plain:
        within = schema() if plain.dialect.name == "postgresql" else None
        connection = plain.execution_options(schema_translate_map={None: within})
        inspector = inspect(connection)
        if within and not inspector.has_schema(within):
            raise SettingsError(
                f"The database has no schema {within!r}, which DB_SCHEMA names: let its owner "
                "create it."
            )
        every = metadata.sorted_tables
        there = [table for table in every if inspector.has_table(table.name, within)]
        for table in there:
            _check_table(connection, table, within)
        if len(there) < len(every):
            _check_postgis(connection)
            metadata.create_all(connection)
        _check_rights(connection, within)
        yield connection


def _check_table(connection: Connection, table: Table, within: str | None) -> None:
    """Make sure that a table that is there already takes the rows; add the column `details`."""
    inspector = inspect(connection)
    there = {str(column["name"]): column for column in inspector.get_columns(table.name, within)}
    missing = sorted(set(table.columns.keys()) - there.keys() - {DETAILS})
    if missing:
        raise SettingsError(
            f"The database has a table {table.name} of another kind, without "
            f"{', '.join(missing)}: add the columns, or use another database."
        )
    (unique,) = (column.name for column in table.columns if column.unique)
    if unique not in _unique_columns(connection, table, within):
        raise SettingsError(
            f"The database has a table {table.name} of another kind, whose column {unique} is not "
            "unique: add a unique constraint, or use another database."
        )
    for name in there.keys() - table.columns.keys():
        if not there[name]["nullable"] and there[name]["default"] is None:
            raise SettingsError(
                f"The database has a table {table.name} of another kind, whose column {name} may "
                "not be null: give it a default, or use another database."
            )
    if DETAILS in table.columns and DETAILS not in there:
        kind = table.columns[DETAILS].type.compile(connection.dialect)
        name = _quoted(connection, table, within)
        connection.execute(text(f"ALTER TABLE {name} ADD COLUMN {DETAILS} {kind}"))


def _quoted(connection: Connection, table: Table, within: str | None) -> str:
    quote = connection.dialect.identifier_preparer.quote
    return ".".join(quote(name) for name in (within, table.name) if name)


def _check_rights(connection: Connection, within: str | None) -> None:
    """Make sure, before hours of work, that the role may write what the run will end with."""
    if connection.dialect.name != "postgresql":
        return
    for table in metadata.sorted_tables:
        missing = connection.scalars(
            text(
                "SELECT wanted FROM unnest(array['SELECT', 'INSERT', 'UPDATE']) AS wanted"
                " WHERE NOT has_table_privilege(:name, wanted)"
            ),
            {"name": _quoted(connection, table, within)},
        ).all()
        if missing:
            raise LandcoverError(
                f"The role {connection.engine.url.username} may not {' and '.join(missing)} in "
                f"the table {table.name}: ask its owner to grant it."
            )


def _unique_columns(connection: Connection, table: Table, within: str | None) -> set[str | None]:
    """Return the columns that are unique by themselves."""
    inspector = inspect(connection)
    groups: list[list[str | None]] = [
        list(found["column_names"])
        for found in inspector.get_unique_constraints(table.name, within)
    ]
    groups += [
        found["column_names"]
        for found in inspector.get_indexes(table.name, within)
        if found["unique"]
    ]
    return {group[0] for group in groups if len(group) == 1}


def _check_postgis(connection: Connection) -> None:
    if connection.dialect.name == "postgresql" and not connection.scalar(
        text("SELECT count(*) FROM pg_extension WHERE extname = 'postgis'")
    ):
        raise SettingsError(
            f"The database {connection.engine.url.database} has no PostGIS: "
            "let its owner run CREATE EXTENSION postgis."
        )
