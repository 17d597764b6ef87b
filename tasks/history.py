"""What the record of deforestation rests on: the maps that are recorded, and earlier records."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.logging import get_run_logger
from pydantic import BaseModel, ValidationError
from sqlalchemy import Connection, select
from upath import UPath

from landcover.change.history import (
    MappedMonth,
    MonthOfRecord,
    missing_between,
    standing_records,
    why_stale,
)
from landcover.change.rule import RULE, ChangeSettings
from landcover.errors import LandcoverError, SettingsError
from landcover.files import absolute, sha256
from landcover.geometry import LONLAT
from landcover.period import Period
from tasks.access.settings import DeforestationSettings
from tasks.access.tables import (
    DETAILS,
    REJECTED,
    columns_there,
    deforestation_alerts,
    deforestation_records,
    raster_predictions,
)
from tasks.retries import io_task
from tasks.run import Run


@dataclass(frozen=True)
class History:
    """What a record is brought up to date from."""

    maps: tuple[MappedMonth, ...]
    """Of all its months, in their order."""
    before: MonthOfRecord | None
    """The newest record that can be taken up; None where there is none."""
    made_with: Mapping[str, Any]
    """What a record depends on beside its maps."""

    @property
    def left(self) -> tuple[MappedMonth, ...]:
        """The months that the record is yet to be brought up to, in their order."""
        return tuple(
            month for month in self.maps if not self.before or month.period > self.before.period
        )

    def digests(self, until: Period) -> dict[str, str]:
        """Return the SHA-256 of the map of each month up to one."""
        return {str(month.period): month.sha256 for month in self.maps if month.period <= until}


class _Details(BaseModel):
    """What this package reads of each row of `deforestation_records`."""

    maps: dict[str, str]
    made_with: dict[str, Any]
    files: dict[str, str]
    rejected: tuple[str, ...] = ()


@io_task("look back", "look back from {run}")
def look_back(run: Run, since: str | None, settings: ChangeSettings) -> History:
    """Find the maps that the record rests on, and the record that it can be taken up at.

    Args:
        run: up to whose month the record is to be brought. Where it reaches further already and is
            to be made anew, it is made as far as it was.
        since: the first month, such as 2024-01; the first that is mapped if None.
        settings: when lost forest is believed.

    Raises:
        SettingsError: if the first month is after the last.
        LandcoverError: if the month has no map, or a map or the baseline is not there.
        TransientError: if database or bucket cannot be reached.
    """
    if since and since > run.period.label:
        raise SettingsError(f"--since {since} is after {run}: name an earlier month.")
    with run.tables() as connection:
        rows = recorded_maps(run, connection)
        mapped = [row for month, row in rows.items() if month >= (since or "")]
        records = _records(connection)
        rejected = read_rejected(connection)
    with run.storage(run.files.maps):
        months = [with_digest(row) for row in mapped]
    _check_mapped(run, months)
    made_with = _made_with(run, settings)
    standing = standing_records(months, records, made_with)
    newest = max((record.period for record in records), default=None)
    before = _take_up(run, standing, newest, rejected)
    # What followed a month that is made anew is, too.
    is_there = before is not None and before.period == run.period
    ends = run.period if is_there or newest is None else max(run.period, newest)
    maps = tuple(month for month in months if month.period <= ends)
    history = History(maps, before, made_with)
    _tell(run, history, records)
    return history


def read_rejected(connection: Connection) -> frozenset[str]:
    """Return the ids of the alerts that people have rejected.

    Args:
        connection: to the tables; that of alerts may be missing.
    """
    if not columns_there(connection, deforestation_alerts):
        return frozenset()
    alerts = deforestation_alerts.c
    query = select(alerts.alert_id).where(alerts.verification == REJECTED)
    return frozenset(connection.scalars(query))


def recorded_maps(run: Run, connection: Connection) -> dict[str, Any]:
    """Return the rows of all maps by their month, such as 2025-06, in order.

    Args:
        run: of any month.
        connection: to the tables; that of maps may be missing.
    """
    columns = columns_there(connection, raster_predictions)
    rows = raster_predictions.c
    query = select(*columns).order_by(rows.year, rows.month)
    found = connection.execute(query).all() if columns else []
    months = {Period(row.year, row.month): row for row in found if row.year and row.month}
    # Only what this package names: other software may keep rows of its own in the table.
    return {
        period.label: row
        for period, row in months.items()
        if row.prediction_filename == run.of(period).files.map.name
    }


def with_digest(row: Any) -> MappedMonth:  # noqa: ANN401
    """Return what a row of a map tells; the file's digest where it does not tell that.

    Args:
        row: see `recorded_maps`.

    Raises:
        LandcoverError: if the file is not there, and the row does not tell its digest.
    """
    details = getattr(row, DETAILS, None)
    told = details if isinstance(details, dict) else {}
    path, warnings = UPath(row.prediction_path), told.get("warnings")
    return MappedMonth(
        Period(row.year, row.month),
        path,
        told.get("sha256") or digest_of(path),
        row.source_mosaic,
        len(warnings) if isinstance(warnings, list) else 0,
    )


def digest_of(path: UPath, whose: str = "the record of deforestation") -> str:
    """Return the SHA-256 of a map, or of another raster that the record needs.

    Args:
        path: of the file.
        whose: what needs it, for the message.

    Raises:
        LandcoverError: if it is not there.
    """
    try:
        return sha256(path)
    except FileNotFoundError as error:
        raise LandcoverError(
            f"{absolute(path)} is not there, and {whose} needs it: put it back or, where it is the "
            "map of a month, map that month again."
        ) from error


def _records(connection: Connection) -> list[MonthOfRecord]:
    """Return the records that can be understood; others are made anew."""
    columns = columns_there(connection, deforestation_records)
    found = []
    for row in connection.execute(select(*columns)).all() if columns else []:
        try:
            told = _Details.model_validate(row.details)
        except ValidationError:
            continue
        folder = UPath(row.record_path).parent
        found.append(
            MonthOfRecord(
                Period(row.year, row.month),
                folder,
                told.maps,
                told.made_with,
                told.files,
                told.rejected,
            )
        )
    return found


def _made_with(run: Run, settings: ChangeSettings) -> dict[str, Any]:
    """Return what a record depends on beside its maps, as JSON has it."""
    ours = run.settings[DeforestationSettings]
    baseline = ours.forest_baseline
    with run.storage(f"FOREST_BASELINE {baseline}"):
        digest = baseline and digest_of(baseline)
    return {
        "rule": RULE,
        "forest_classes": list(ours.forest_classes),
        "unclear_classes": list(ours.unclear_classes),
        "forest_baseline": digest,
        "area_of_interest": hashlib.sha256(run.area(LONLAT).normalize().wkb).hexdigest(),
        **settings.model_dump(mode="json"),
    }


def _check_mapped(run: Run, maps: Sequence[MappedMonth]) -> None:
    """Make sure that the month has a map."""
    if any(month.period == run.period for month in maps):
        return
    there = [str(month.period) for month in maps if month.period < run.period]
    found = f"the last before it is that of {there[-1]}" if there else "nor of a month before it"
    raise LandcoverError(
        f"No map of {run} is recorded in raster_predictions, {found}: map it first, with python "
        f"flows/monthly.py --year {run.period.year} --month {run.period.month}."
    )


def _take_up(
    run: Run,
    standing: Sequence[MonthOfRecord],
    newest: Period | None,
    rejected: Collection[str],
) -> MonthOfRecord | None:
    """Return the newest record whose files are as they were.

    Args:
        run: for whose month.
        standing: what rests on the maps that are there now, the newest first.
        newest: the month of the newest record, standing or not.
        rejected: the alerts that people have rejected until now.
    """
    for record in standing:
        if record.period > run.period:
            continue
        # What people have said since is to be on the page, and in the totals.
        if record.period == newest == run.period and set(record.rejected) != set(rejected):
            continue
        if broken := _changed_file(run, record):
            get_run_logger().warning(
                "%s is not the file that was recorded, so the record is made anew from %s on.",
                absolute(broken),
                record.period,
            )
            continue
        return record
    return None


def _changed_file(run: Run, record: MonthOfRecord) -> UPath | None:
    """Return a file of a record that is gone or has changed, if there is one."""
    with run.storage(record.folder):
        for name, digest in record.sha256.items():
            path = record.path(name)
            if not path.exists() or sha256(path) != digest:
                return path
    return None


def _tell(run: Run, history: History, records: Sequence[MonthOfRecord]) -> None:
    """Say in the log what is made, and why."""
    log, left = get_run_logger(), history.left
    begins = history.maps[0].period
    if not left:
        log.info("The record of deforestation is up to date up to %s", run)
        return
    log.info(
        "The record of deforestation, which begins with %s, is brought up to %s: %s",
        begins,
        left[-1].period,
        ", ".join(str(month.period) for month in left),
    )
    stale = [record for record in records if record.period >= left[0].period]
    for record in sorted(stale, key=lambda record: record.period)[:1]:
        why = why_stale(record, history.maps, history.made_with)
        if why:
            log.warning("The record up to %s is made anew, because %s.", record.period, why)
    if missing := missing_between(history.maps):
        log.warning(
            "There is no map of %s: nothing was seen there then.", ", ".join(map(str, missing))
        )
