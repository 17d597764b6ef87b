"""The tables of models, maps, and lost forest, as the team's other software knows them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from operator import attrgetter
from typing import Any

from geoalchemy2 import Geometry, WKBElement
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError
from sqlalchemy.types import TypeEngine

from landcover.errors import LandcoverError, SettingsError, TransientError
from landcover.files import file_name
from landcover.period import CalendarYear, Period
from tasks.access.database import check_postgis, database, schema
from tasks.access.database_refusals import NO_PERMISSION, first_line

# What lists the maps of all months is one at a time.
ONE_COLLECTION = text("SELECT pg_try_advisory_xact_lock(hashtext('chocoforest collection'))")

DETAILS = "details"  # beyond the columns that other software knows

# The key under which the details of a map hold what was measured on its mosaic.
RADIOMETRY = "radiometry"

# A month that no table holds.
EXAMPLE = Period(2099, 12)

# What columns without an example of their own are tried with.
_EXAMPLES: dict[type[TypeEngine[Any]], object] = {
    JSON: {"example": [1, 0.5, None]},
    DateTime: datetime(2099, 12, 1, tzinfo=UTC),
    Date: date(2099, 12, 1),
    Float: 0.5,
    Integer: 1,
    String: "example",
}

# What a database says of a table that refuses a row: classes of SQLSTATE, and names of SQLite's.
_REFUSALS = ("22", "23", "42", "44", "55", "P0", "SQLITE_CONSTRAINT", "SQLITE_ERROR")

# What to do about it, by SQLSTATE or its class.
_ADVICE = {
    "22": "change the column's type",
    "23502": "let the column be null, or give it a default",
    "23505": "where it names {key}, set its sequence past the highest {key} there, with setval; "
    "else change the row or the constraint",
    "23P01": "change the row or the constraint",
    "42703": "add the column",
    "42804": "change the column's type",
    "42830": "add a primary key on {key}",
    "42P10": "add a unique constraint, or a unique index without a condition, on {unique}",
    "55000": "let no constraint on {key} or {unique} be deferrable",
}

_GRANT = (
    "ask its owner to grant SELECT, INSERT and UPDATE on it and USAGE on its schema and sequence, "
    "and to let the role pass where it has row-level security"
)

_CREATE = (
    "ask the owner of the schema to grant CREATE on it, and REFERENCES on the tables that are there"
)

MODEL_TYPE = "RandomForestClassifier"

# Of PostgreSQL, and of SQLite as text.
_JSON = JSON().with_variant(postgresql.JSONB(), "postgresql")

metadata = MetaData()


def _outlines(*, index: bool) -> TypeEngine[Any]:
    """Return the type of outlines in longitude and latitude: a geometry, in SQLite its WKT."""
    geometry = Geometry("MULTIPOLYGON", srid=4326, spatial_index=index)
    return Text().with_variant(geometry, "postgresql")


def _example_outline(_: Period) -> str:
    return "SRID=4326;MULTIPOLYGON(((-79.5 0, -79.4 0, -79.4 0.1, -79.5 0)))"


ml_models = Table(
    "ml_models",
    metadata,
    Column("model_id", Integer, primary_key=True),
    Column("model_filename", String, unique=True, info={"example": partial(file_name, "model")}),
    Column("model_type", String, info={"example": lambda _: MODEL_TYPE}),
    Column("trained_at", DateTime(timezone=True), server_default=func.now()),
    Column("training_data_source", String),
    Column("parameters", _JSON),
    Column("metrics", _JSON),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
)

raster_predictions = Table(
    "raster_predictions",
    metadata,
    Column("prediction_id", Integer, primary_key=True),
    Column("prediction_filename", String, unique=True, info={"example": partial(file_name, "map")}),
    Column("prediction_path", String),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("model_id", Integer, ForeignKey("ml_models.model_id")),
    Column("source_mosaic", String),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
    Column("aoi_definition", _outlines(index=False), info={"example": _example_outline}),
    Column(DETAILS, _JSON),
)

deforestation_records = Table(
    "deforestation_records",
    metadata,
    Column("record_id", Integer, primary_key=True),
    Column(
        "record_filename",
        String,
        unique=True,
        info={"example": partial(file_name, "deforestation")},
    ),
    Column("record_path", String),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
    Column("alerts", Integer),
    Column(DETAILS, _JSON),
)

deforestation_alerts = Table(
    "deforestation_alerts",
    metadata,
    Column(
        "alert_id",
        String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql"),
        primary_key=True,
        info={"example": lambda _: "00000000-0000-4000-8000-000000000000"},
    ),
    Column("geometry", _outlines(index=True), info={"example": _example_outline}),
    Column("area_ha", Float),
    Column("state", String),
    Column("first_detected", Date),
    Column("confirmed_on", Date),
    Column("last_seen", Date),
    Column("date_start_t0", Date),
    Column("date_end_t0", Date),
    Column("date_start_t1", Date),
    Column("date_end_t1", Date),
    Column("probability", Float),
    Column("observations", Integer),
    Column("regions", _JSON),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
    # What people write: no run does.
    Column("verification", String, server_default="unverified"),
    Column("verified_by", String),
    Column("verified_at", DateTime(timezone=True)),
    Column("comment", String),
)

reference_samples = Table(
    "reference_samples",
    metadata,
    Column("sample_id", Integer, primary_key=True),
    Column("sample_filename", String, unique=True, info={"example": partial(file_name, "sample")}),
    Column("sample_path", String),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
    Column("points", Integer),
    Column(DETAILS, _JSON),
)


def _example_estimate(period: Period) -> str:
    return f"{file_name('areas', period)}: Forest"


def _example_annual_map(period: Period) -> str:
    return file_name("forest", CalendarYear(period.year))


area_estimates = Table(
    "area_estimates",
    metadata,
    Column("estimate_id", Integer, primary_key=True),
    Column("estimate_name", String, unique=True, info={"example": _example_estimate}),
    Column("class", String),
    Column("mapped_ha", Float),
    Column("area_ha", Float),
    Column("ci95_ha", Float),
    Column("users", Float),
    Column("users_ci95", Float),
    Column("producers", Float),
    Column("producers_ci95", Float),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
    Column(DETAILS, _JSON),
)


def _example_statistic(period: Period) -> str:
    return f"{file_name('regions', period)}: Alto Tambo: Forest"


region_statistics = Table(
    "region_statistics",
    metadata,
    Column("statistic_id", Integer, primary_key=True),
    Column("statistic_name", String, unique=True, info={"example": _example_statistic}),
    Column("region", String),
    Column("class", String),
    Column("hectares", Float),
    Column("share", Float),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column("month", Integer, info={"example": attrgetter("month")}),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column(DETAILS, _JSON),
    Column("raster", String, info={"example": lambda _: "prediction"}),
    Column("alerts", Integer),
)

annual_maps = Table(
    "annual_maps",
    metadata,
    Column("annual_id", Integer, primary_key=True),
    Column("annual_filename", String, unique=True, info={"example": _example_annual_map}),
    Column("annual_path", String),
    Column("generated_at", DateTime(timezone=True), server_default=func.now()),
    Column("year", Integer, info={"example": attrgetter("year")}),
    Column(DETAILS, _JSON),
)

# What people say of an alert.
REJECTED = "rejected"
PEOPLES = ("verification", "verified_by", "verified_at", "comment")

# What a run that maps records, and what one does that brings the record of lost forest up to date.
MAPS = (ml_models, raster_predictions)
CHANGE = (deforestation_records, deforestation_alerts)

# What a run records that draws points for people to label, and one that takes labels back.
SAMPLES = (reference_samples,)
ESTIMATES = (area_estimates,)

# What a run records where regions are set.
REGIONS = (region_statistics,)

# What one records that puts the maps of a year together.
ANNUAL = (annual_maps,)


def names_of(wanted: Sequence[Table]) -> tuple[str, ...]:
    """Return the names of tables."""
    return tuple(table.name for table in wanted)


@contextmanager
def tables(block: str | None, reading: bool = False) -> Iterator[Connection]:
    """Connect to the database of the tables, for one transaction.

    That the tables are there and take a run's rows is for `check_tables`, at its start.

    Args:
        block: the name of the database block (see `tasks.access.database.database`).
        reading: whether they are only read; then they may be missing (see `columns_there`).
    """
    with database(block, reading) as connection:
        within = _schema(connection)
        # An empty map would pin the schema that came first at connection time.
        names = {"schema_translate_map": {None: within}} if within else {}
        yield connection.execution_options(**names)


def check_tables(
    block: str | None, period: Period = EXAMPLE, wanted: Sequence[Table] = MAPS
) -> None:
    """Make sure, before hours of work, that the tables take what a run will record.

    Tables that are missing are made, and so is the column `details`. Then a row is written to each
    table, replaced and read; all of it is rolled back.

    Args:
        block: the name of the database block (see `tasks.access.database.database`).
        period: whose rows are tried, so that constraints judge what they will be given.
        wanted: the tables that the run will write, each after those that it refers to.

    Raises:
        SettingsError: if a table does not take the row, or the schema or PostGIS is missing.
        LandcoverError: if the role lacks a permission.
        TransientError: if the server cannot be reached or drops the connection.
    """
    with tables(block) as connection:
        on_server = connection.dialect.name == "postgresql"
        if not on_server:
            # The driver begins at the first INSERT: a SAVEPOINT before it would commit at its end.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        check_postgis(connection)
        _make_missing(connection, wanted)
        with connection.begin_nested() as attempt:
            if on_server:
                # What is deferred would wait for a commit that does not come.
                connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
            keys: dict[Column[object], object] = {}
            for table in wanted:
                keys[_key(table)] = _try_row(connection, table, period, keys)
            # Sequences do not take back the numbers that this cost: keys have gaps.
            attempt.rollback()


def replace_row(connection: Connection, table: Table, values: Mapping[str, object]) -> Any:  # noqa: ANN401
    """Insert a row, or put it in place of the one with the same unique value; return its key.

    Args:
        connection: to the tables.
        table: whose row.
        values: by column, with the unique one.

    Raises:
        LandcoverError: if the table does not take it.
    """
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert
    statement = insert(table).values(**values)
    statement = statement.on_conflict_do_update(index_elements=[_unique(table)], set_=dict(values))
    with _explained(connection, table):
        key = connection.scalar(statement.returning(_key(table)))
    if key is None:
        raise _refusal(connection, table, "a trigger or rule drops them", "change it")
    return key


def replace_rows(
    connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]
) -> None:
    """Insert rows, or put them in place of those with the same unique value; other columns stay.

    Args:
        connection: to the tables.
        table: whose rows.
        rows: all of the same columns, with the unique one: the key, where there is no other.

    Raises:
        LandcoverError: if the table does not take them.
    """
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
    if not rows:
        return
    unique = _unique(table)
    values = {name: insert.excluded[name] for name in rows[0] if name != unique}
    statement = insert.on_conflict_do_update(index_elements=[unique], set_=values)
    with _explained(connection, table):
        connection.execute(statement, rows)


def columns_there(connection: Connection, table: Table) -> list[Column[Any]]:
    """Return those columns of a table that the database has; none where it has no such table."""
    within, inspector = _schema(connection), inspect(connection)
    if not inspector.has_table(table.name, within):
        return []
    there = {found["name"] for found in inspector.get_columns(table.name, within)}
    return [column for column in table.columns if column.name in there]


def is_before(table: Table, period: Period) -> ColumnElement[bool]:
    """Return the condition that a row is of an earlier month; without a month, it is of none.

    Args:
        table: one of those here.
        period: the month.
    """
    number: ColumnElement[int] = table.c.year * 12 + table.c.month
    return number < period.year * 12 + period.month


def row_of(connection: Connection, table: Table, filename: str) -> Mapping[str, Any] | None:
    """Return the row of a file, with those columns that the database has.

    Args:
        connection: to the tables.
        table: of models, maps or records; it may be missing.
        filename: of the model, the map or the record: what is unique in the table.

    Returns:
        None where there is no such row.
    """
    columns = columns_there(connection, table)
    if not columns:
        return None
    query = select(*columns).where(table.c[_unique(table)] == filename)
    found = connection.execute(query).mappings().one_or_none()
    return dict(found) if found else None


def recorded(connection: Connection, table: Table, filename: str) -> Mapping[str, Any]:
    """Return what the row of a file says of how it was made.

    Args:
        connection: to the tables.
        table: of models, maps or records; it may be missing.
        filename: of the model, the map or the record.

    Returns:
        The `parameters` of a model, the `details` of a map or a record; nothing where there is no
        such row, or other software's.
    """
    row = row_of(connection, table, filename) or {}
    found = row.get(DETAILS if DETAILS in table.c else "parameters")
    return found if isinstance(found, dict) else {}


def lock_collection(connection: Connection) -> None:
    """Be the only one who writes the collection of maps, to the end of a transaction.

    Raises:
        TransientError: if another is at it.
    """
    if connection.dialect.name == "sqlite":
        # SQLite lets one write at a time anyway.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif not connection.scalar(ONE_COLLECTION):
        raise TransientError("Another month's map is being listed in the same folder's collection.")


def _schema(connection: Connection) -> str | None:
    return schema() if connection.dialect.name == "postgresql" else None


def _name(connection: Connection, table: Table, quote: Callable[[str], str] = str) -> str:
    return ".".join(quote(part) for part in (_schema(connection), table.name) if part)


def _key(table: Table) -> Column[object]:
    (key,) = table.primary_key
    return key


def _unique(table: Table) -> str:
    named = (column.name for column in table.columns if column.unique)
    return next(named, _key(table).name)


def _make_missing(connection: Connection, wanted: Sequence[Table]) -> None:
    within, inspector = _schema(connection), inspect(connection)
    if within and not inspector.has_schema(within):
        raise SettingsError(
            f"The database has no schema {within!r}, which DB_SCHEMA names: let its owner create "
            "it."
        )
    there = [table for table in wanted if inspector.has_table(table.name, within)]
    if len(there) < len(wanted):
        if connection.dialect.name == "postgresql":
            # Two first runs at once would both find no tables, and one would fail to make them.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('chocoforest'))"))
        for table in wanted:
            # What is refused is a reference to the table before it.
            with _explained(connection, there[0] if there else table, _CREATE):
                table.create(connection, checkfirst=True)
    for table in there:
        types = {
            found["name"]: found["type"] for found in inspector.get_columns(table.name, within)
        }
        for column in table.columns:
            # PostGIS casts geometries to text and back unasked: no row would show the difference.
            kind = column.type.dialect_impl(connection.dialect)
            if isinstance(kind, Geometry) and not isinstance(types.get(column.name), Geometry):
                raise _refusal(
                    connection,
                    table,
                    f"it has no geometry in a column {column.name}",
                    "give it one",
                )
        if DETAILS in table.columns and DETAILS not in types:
            _add_details(connection, table)


def _add_details(connection: Connection, table: Table) -> None:
    kind = table.columns[DETAILS].type.compile(connection.dialect)
    name = _name(connection, table, connection.dialect.identifier_preparer.quote)
    change = f"ALTER TABLE {name} ADD COLUMN {DETAILS} {kind}"
    with _explained(connection, table, f"let its owner run {change}"):
        connection.exec_driver_sql(change)


def _try_row(
    connection: Connection, table: Table, period: Period, keys: Mapping[Column[object], object]
) -> object:
    """Write an example, replace and read it; return its key."""
    row = {
        column.name: _example(column, period, keys)
        for column in table.columns
        if column.name not in PEOPLES and (column.info or not column.primary_key)
    }
    # The second time it replaces the first, as when a month is run again.
    key = [replace_row(connection, table, row) for _ in range(2)][-1]
    with _explained(connection, table):
        kept = connection.execute(select(table).where(_key(table) == key)).one()._mapping
    for name, value in row.items():
        if not isinstance(kept[name], (type(value), WKBElement)):
            kind = table.columns[name].type.dialect_impl(connection.dialect)
            raise _refusal(
                connection,
                table,
                f"the column {name} gives {kept[name]!r} for {value!r}",
                f"change its type to {kind.compile(connection.dialect)}",
            )
    return key


def _example(
    column: Column[object], period: Period, keys: Mapping[Column[object], object]
) -> object:
    for reference in column.foreign_keys:
        return keys[reference.column]
    of_type = (value for kind, value in _EXAMPLES.items() if isinstance(column.type, kind))
    return column.info["example"](period) if "example" in column.info else next(of_type)


@contextmanager
def _explained(connection: Connection, table: Table, grant: str = _GRANT) -> Iterator[None]:
    """Say in one sentence why a table refuses what was asked, and what to do."""
    try:
        yield
    except DatabaseError as error:
        orig = error.orig
        code = str(getattr(orig, "pgcode", None) or getattr(orig, "sqlite_errorname", ""))
        if code == NO_PERMISSION:
            raise LandcoverError(
                f"The role {connection.engine.url.username} may not write the table "
                f"{_name(connection, table)} ({first_line(error)}): {grant}."
            ) from error
        if not code.startswith(_REFUSALS):
            raise
        advice = _ADVICE.get(code) or _ADVICE.get(code[:2]) or "change the table"
        raise _refusal(connection, table, first_line(error), advice) from error


def _refusal(connection: Connection, table: Table, why: str, advice: str) -> SettingsError:
    advice = advice.format(unique=_unique(table), key=_key(table).name)
    name = _name(connection, table)
    other = "database or DB_SCHEMA" if connection.engine.url.host else "METADATA_DB"
    return SettingsError(
        f"The table {name} does not take a run's rows ({why}): {advice}, or use another {other}."
    )
