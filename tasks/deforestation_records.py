"""The rows of the record of deforestation: up to which month, and each of its alerts."""

from collections.abc import Mapping
from typing import Any

import geopandas
from prefect.logging import get_run_logger
from sqlalchemy import Connection, bindparam, func, select, update

from landcover.change.alerts import ATTRIBUTES, WITHDRAWN, Tally
from landcover.change.plan import FinishedRecord
from landcover.change.record import LEGEND
from landcover.files import absolute, file_name, scratch
from tasks.access.lock import RECORD
from tasks.access.tables import (
    DETAILS,
    deforestation_alerts,
    deforestation_records,
    replace_row,
    replace_rows,
    row_of,
)
from tasks.change import read_alerts
from tasks.history import History
from tasks.records import area_value, recording
from tasks.retries import io_task
from tasks.run import Run


@io_task("record deforestation", "record deforestation {run}")
def record_deforestation(
    run: Run, finished: FinishedRecord, history: History, made_by: Mapping[str, object]
) -> int:
    """Publish and record what is known of lost forest up to a month.

    The files are published as those of a map are: see `tasks.records.recording`. An alert keeps
    its row, and what people wrote in it; one that is no alert any more is withdrawn.

    Args:
        run: of the month.
        finished: the record.
        history: the maps that it rests on.
        made_by: command, code version, flow run.

    Returns:
        The `record_id`.

    Raises:
        LandcoverError: if another run of the record has begun while the database was away.
        TransientError: if database or bucket cannot be reached.
    """
    waiting, final = finished.waiting, run.files.record["deforestation"]
    names = [*finished.phone_files, *(path.name for path in run.files.of_record)]
    # Those of the run itself last, in their order.
    names = list(dict.fromkeys(reversed(names)))[::-1]
    files = {run.files.maps / name: waiting / name for name in names}
    with run.storage(waiting), scratch(waiting) as folder:
        alerts = read_alerts(waiting / file_name("patches", run.period), folder)
    with recording(run, RECORD, deforestation_records, files, made_by) as connection:
        record_id = replace_row(
            connection,
            deforestation_records,
            {
                "record_filename": final.name,
                "record_path": absolute(final),
                "generated_at": func.now(),
                "year": run.period.year,
                "month": run.period.month,
                "alerts": finished.counts.standing,
                DETAILS: {**_details(finished, history), **made_by},
            },
        )
        _write_alerts(connection, run, alerts)
    get_run_logger().info("Record of deforestation written to %s", final)
    get_run_logger().info(
        "Recorded it as deforestation_records.record_id %d, with %d alerts", record_id, len(alerts)
    )
    return int(record_id)


@io_task("find record", "find record {run}")
def find_record(run: Run) -> int | None:
    """Return how many alerts the record up to a month has; None where there is no such record.

    Args:
        run: of the month.

    Raises:
        TransientError: if the database cannot be reached.
    """
    with run.tables(reading=True) as connection:
        name = run.files.record["deforestation"].name
        row = row_of(connection, deforestation_records, name)
    return row["alerts"] if row else None


def _details(finished: FinishedRecord, history: History) -> dict[str, Any]:
    plan, counts = finished.plan, finished.counts
    before = plan.before
    return {
        "hectares": {
            name: round(finished.hectares.get(code, 0.0), 2) for code, name in LEGEND.names.items()
        },
        "alerts": _as_json(counts),
        "maps": history.digests(finished.period),
        "made_with": dict(history.made_with),
        "before": before and file_name("deforestation", before.period),
        "files": dict(finished.sha256),
        "sha256": finished.sha256["deforestation"],
        "rejected": sorted(finished.rejected),
        "warnings": [str(notice) for notice in finished.notices],
    }


def _as_json(counts: Tally) -> dict[str, float]:
    return {name: round(value, 2) for name, value in vars(counts).items()}


def _write_alerts(connection: Connection, run: Run, alerts: geopandas.GeoDataFrame) -> None:
    """Write a row for each alert, but for what people write in it."""
    known = alerts[list(ATTRIBUTES)].astype(object)
    known = known.where(known.notna(), None)
    regions = alerts["regions"] if "regions" in alerts else [None] * len(alerts)
    rows = [
        {**row, "regions": names, "geometry": area_value(connection, outline)}
        for row, names, outline in zip(
            known.to_dict("records"), regions, alerts.geometry, strict=True
        )
    ]
    replace_rows(connection, deforestation_alerts, rows)
    columns = deforestation_alerts.c
    query = select(columns.alert_id).where(columns.state != WITHDRAWN)
    gone = set(connection.scalars(query)) - set(alerts["alert_id"])
    if gone:
        connection.execute(
            update(deforestation_alerts)
            .where(columns.alert_id == bindparam("gone"))
            .values(state=WITHDRAWN, year=run.period.year, month=run.period.month),
            [{"gone": alert_id} for alert_id in sorted(gone)],
        )
