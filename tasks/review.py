"""Which months are left to be mapped: those without a map, and those whose map is out of date."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import shapely
from geoalchemy2 import WKBElement
from geoalchemy2.shape import to_shape
from shapely.geometry import MultiPolygon
from shapely.geometry.base import BaseGeometry
from sqlalchemy import select
from upath import UPath

from landcover.errors import LandcoverError, NoPolygonsError, TransientError
from landcover.geometry import LONLAT
from landcover.model.polygons import digest
from landcover.period import Period, read_month
from landcover.version import code_version
from tasks.access.tables import DETAILS, ml_models, raster_predictions, row_of
from tasks.mosaic import look_at_imagery
from tasks.polygons import read_polygons
from tasks.records import REPLACED
from tasks.retries import io_task
from tasks.run import Run

Found = TypeVar("Found")

# In degrees: so far two areas of interest may be apart, as where one was written as text.
NEAR = 1e-9


@dataclass(frozen=True)
class RecordedMap:
    """What the rows of a month's map and of its model say."""

    path: UPath
    """The map."""
    mosaic: str | None
    """Where its imagery was found."""
    area: BaseGeometry | None
    """The area of interest, in longitude and latitude; None where that cannot be read."""
    details: Mapping[str, Any]
    """What it was made of and by; nothing where other software wrote the row."""
    accuracy: float | None
    """Of the model that made it; None where that is not known, or the model was replaced."""

    @property
    def warnings(self) -> int | None:
        """How many warnings it has; None where that is not known."""
        told = self.details.get("warnings")
        return len(told) if isinstance(told, list) else None


@dataclass(frozen=True)
class Review:
    """Whether a month is to be mapped, and whether it can be."""

    period: Period
    """The month."""
    reasons: tuple[str, ...]
    """Why it is to be mapped: what is missing or has changed; none where its map is up to date."""
    obstacle: LandcoverError | None
    """Why it cannot be mapped: its imagery or its training polygons are not there."""
    labels: tuple[str, ...]
    """The class labels of its training polygons."""
    by_other_code: bool
    """Whether another version of the code has made its map."""


@io_task("review month", "review {run}")
def review_month(run: Run, other_code: bool = False, needs_polygons: bool = True) -> Review:
    """Compare what a month's map was made of with what there is now; nothing is written.

    Args:
        run: whose map.
        other_code: whether a map that another version of the code has made is to be made again.
        needs_polygons: whether it cannot be mapped without polygons of its own.

    Raises:
        SettingsError: if the database refuses the settings.
        LandcoverError: if a folder on this machine cannot be read.
        TransientError: if database or bucket cannot be reached.
    """
    recorded = _read(run)
    fingerprint, no_imagery = _try(
        lambda: look_at_imagery(run, recorded.mosaic if recorded else None)
    )
    found, no_polygons = _try(lambda: read_polygons(run)[0])
    made_by = recorded.details.get("code_version") if recorded else None
    by_other_code = made_by not in (None, code_version())
    now = {
        "mosaic_fingerprint": fingerprint,
        "polygons_sha256": None if found is None else digest(found),
    }
    reasons = _reasons(run, recorded, now)
    if recorded and not reasons and _other_teachers(run, recorded, found is not None):
        reasons.append("the polygons of the months that taught its model have changed")
    if isinstance(no_polygons, NoPolygonsError) and not needs_polygons:
        no_polygons = None
    if by_other_code and other_code:
        reasons.append("another version of the code has made its map")
    return Review(
        run.period,
        tuple(reasons),
        no_imagery or no_polygons,
        () if found is None else tuple(sorted(set(found["class_label"]))),
        by_other_code,
    )


@io_task("find map", "find map {run}")
def find_map(run: Run) -> RecordedMap | None:
    """Return what is recorded of a month's map; None where there is none.

    Args:
        run: whose map.

    Raises:
        SettingsError: if the database refuses the settings.
        TransientError: if the database cannot be reached.
    """
    return _read(run)


def _read(run: Run) -> RecordedMap | None:
    with run.tables(reading=True) as connection:
        row = row_of(connection, raster_predictions, run.files.map.name)
        if row is None:
            return None
        model = connection.execute(
            select(ml_models).where(ml_models.c.model_id == row["model_id"])
        ).one_or_none()
    details = _mapping(row.get(DETAILS))
    made_it = model and _mapping(model.parameters).get("sha256") == details.get("model_sha256")
    return RecordedMap(
        path=UPath(row["prediction_path"] or run.files.map),
        mosaic=row["source_mosaic"],
        area=_area(row["aoi_definition"]),
        details=details,
        accuracy=_mapping(model.metrics).get("accuracy") if model and made_it else None,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    """Return what a JSON column holds; nothing where other software wrote something else."""
    return value if isinstance(value, dict) else {}


def _area(value: object) -> BaseGeometry | None:
    if isinstance(value, WKBElement):
        return to_shape(value)
    return shapely.from_wkt(value, on_invalid="ignore") if isinstance(value, str) else None


def _try(look: Callable[[], Found]) -> tuple[Found | None, LandcoverError | None]:
    """Return what is found, or why it is not."""
    try:
        return look(), None
    except TransientError:
        raise
    except LandcoverError as error:
        return None, error


def _reasons(run: Run, recorded: RecordedMap | None, now: Mapping[str, str | None]) -> list[str]:
    """Say what is missing, or not what it was when the month was mapped.

    Args:
        run: whose map.
        recorded: what is known of it.
        now: the digests of imagery and polygons as they are; None where they are not compared.
    """
    if recorded is None:
        return ["it is not mapped yet"]
    with run.storage(recorded.path):
        if not recorded.path.exists():
            return ["the file of its map is gone"]
    before = recorded.details
    changed = {
        name: before.get(name) is not None and value is not None and before[name] != value
        for name, value in now.items()
    }
    reasons = {
        "its model was replaced": REPLACED in before,
        "the area of interest has changed": _is_other(recorded.area, run.area(LONLAT)),
        "its imagery has changed": changed["mosaic_fingerprint"],
        "its training polygons have changed": changed["polygons_sha256"],
    }
    return [reason for reason, holds in reasons.items() if holds]


def _other_teachers(run: Run, recorded: RecordedMap, has_polygons: bool) -> bool:
    """Tell whether months that taught a pooled model would teach it something else now.

    Args:
        run: whose map.
        recorded: what is known of it.
        has_polygons: whether the month has polygons of its own.
    """
    taught_by = _mapping(recorded.details.get("taught_by"))
    if not str(recorded.details.get("train_on")).startswith(("pool", "all")):
        return False
    if has_polygons and str(run) not in taught_by:
        return True
    return any(
        before not in (None, _digest_now(run.of(read_month(month))))
        for month, before in taught_by.items()
        if month != str(run)
    )


def _digest_now(run: Run) -> str | None:
    """Return the digest of a month's polygons as they are; None where they cannot be used."""
    polygons, _ = _try(lambda: read_polygons(run)[0])
    return None if polygons is None else digest(polygons)


def _is_other(recorded: BaseGeometry | None, area: BaseGeometry) -> bool:
    if recorded is None:
        return False
    one, other = (MultiPolygon(shapely.get_parts(it).tolist()) for it in (recorded, area))
    return not one.normalize().equals_exact(other.normalize(), NEAR)
