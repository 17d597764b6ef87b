"""The tables `ml_models` and `raster_predictions`, as the team's other software knows them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.types import TypeEngine

from landcover.errors import LandcoverError, SettingsError
from tasks.access.database import check_postgis, database, schema

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
        block: the name of the database block (see `tasks.access.database.database`).

    Raises:
        SettingsError: if a table of the same name is of another kind, or the schema or PostGIS is
            missing.
        LandcoverError: if the role may not write the tables.
    """
    with database(block) as plain:
        within = schema() if plain.dialect.name == "postgresql" else None
        # A map without a schema would stand for one: that which was first when the role connected.
        names = {"schema_translate_map": {None: within}} if within else {}
        connection = plain.execution_options(**names)
        inspector = inspect(connection)
        if within and not inspector.has_schema(within):
            raise SettingsError(
                f"The database has no schema {within!r}, which DB_SCHEMA names: let its owner "
                "create it."
            )
        check_postgis(connection)
        every = metadata.sorted_tables
        there = [table for table in every if inspector.has_table(table.name, within)]
        for table in there:
            _check_table(connection, table, within)
        if len(there) < len(every):
            _create_missing(connection)
        for table in there:
            _check_rights(connection, table, within)
        yield connection


def _create_missing(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Two first months at once would both find no tables, and one would fail to make them.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('chocoforest'))"))
    metadata.create_all(connection)


def _check_table(connection: Connection, table: Table, within: str | None) -> None:
    """Make sure that a table that is there already takes the rows; add the column `details`."""
    inspector = inspect(connection)
    there = {str(column["name"]): column for column in inspector.get_columns(table.name, within)}
    wrong = (
        _wrong_columns(table, {name: found["type"] for name, found in there.items()}, connection)
        or _not_unique(connection, table, within)
        or _never_null(table, there)
    )
    if wrong:
        raise SettingsError(
            f"The database has a table {_name(table, within)} of another kind, {wrong}, or use "
            "another database or DB_SCHEMA."
        )
    if DETAILS in table.columns and DETAILS not in there:
        _add_details(connection, table, within)


def _wrong_columns(
    table: Table, there: Mapping[str, TypeEngine[object]], connection: Connection
) -> str | None:
    missing = sorted(set(table.columns.keys()) - there.keys() - {DETAILS})
    if missing:
        return f"without {', '.join(missing)}: add the columns"
    for name in sorted(table.columns.keys() & there.keys()):
        wanted = table.columns[name].type.dialect_impl(connection.dialect)
        if not _takes(there[name], wanted):
            kind = wanted.compile(connection.dialect)
            return f"whose column {name} is {there[name]}, not {kind}: change its type"
    return None


def _takes(found: TypeEngine[object], wanted: TypeEngine[object]) -> bool:
    """Tell whether a column takes values of a type: text of any length, integers of any size."""
    if isinstance(found, Geometry) and isinstance(wanted, Geometry):
        return found.srid in {-1, 0, wanted.srid} and found.geometry_type in {
            "GEOMETRY",
            wanted.geometry_type,
        }
    kinds = (Geometry, JSON, Integer, DateTime, String)
    return next(isinstance(found, kind) for kind in kinds if isinstance(wanted, kind))


def _not_unique(connection: Connection, table: Table, within: str | None) -> str | None:
    (unique,) = (column.name for column in table.columns if column.unique)
    if unique in _unique_columns(connection, table, within):
        return None
    return f"whose column {unique} is not unique: add a unique constraint"


def _never_null(table: Table, there: Mapping[str, ReflectedColumn]) -> str | None:
    for name in sorted(there.keys() - table.columns.keys()):
        if not there[name]["nullable"] and there[name]["default"] is None:
            return f"whose column {name} may not be null: give it a default"
    return None


def _name(table: Table, within: str | None) -> str:
    return f"{within}.{table.name}" if within else table.name


def _add_details(connection: Connection, table: Table, within: str | None) -> None:
    kind = table.columns[DETAILS].type.compile(connection.dialect)
    quote = connection.dialect.identifier_preparer.quote
    name = ".".join(quote(part) for part in (within, table.name) if part)
    change = f"ALTER TABLE {name} ADD COLUMN {DETAILS} {kind}"
    if connection.dialect.name == "postgresql" and not _rights(connection, table, within).owned:
        raise SettingsError(
            f"The table {_name(table, within)} has no column {DETAILS}, and belongs to another "
            f"role than {connection.engine.url.username}: let its owner run {change}."
        )
    connection.exec_driver_sql(change)


def _check_rights(connection: Connection, table: Table, within: str | None) -> None:
    """Make sure, before hours of work, that the role may write what the run will end with."""
    if connection.dialect.name != "postgresql":
        return
    rights = _rights(connection, table, within)
    if rights.missing or not rights.may_number:
        wanted = (
            f"may not {' and '.join(rights.missing)} in the table"
            if rights.missing
            else "has no USAGE of the sequence of the table"
        )
        raise LandcoverError(
            f"The role {connection.engine.url.username} {wanted} {_name(table, within)}: "
            "ask its owner to grant it."
        )


# An identity column numbers its rows without a right to the sequence; a default does not.
_RIGHTS = text("""
    SELECT
        pg_has_role(relowner, 'USAGE') AS owned,
        array(
            SELECT wanted FROM unnest(array['SELECT', 'INSERT', 'UPDATE']) AS wanted
            WHERE NOT has_table_privilege(pg_class.oid, wanted)
        ) AS missing,
        attidentity <> '' OR coalesce(has_sequence_privilege(
            pg_get_serial_sequence(format('%I.%I', nspname, relname), attname), 'USAGE, UPDATE'
        ), true) AS may_number
    FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relname = :table AND attname = :key
    AND CASE WHEN :schema IS NULL THEN pg_table_is_visible(pg_class.oid) ELSE nspname = :schema END
""")


def _rights(connection: Connection, table: Table, within: str | None) -> Row[Any]:
    """Return whether the role owns a table, which rights it lacks, and whether it may number."""
    (key,) = table.primary_key
    asked = {"table": table.name, "key": key.name, "schema": within}
    return connection.execute(_RIGHTS, asked).one()


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
