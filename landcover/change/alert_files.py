"""Files of alerts: a GeoPackage of all, and small files of a month's new ones for a phone's map."""

import json
from collections.abc import Iterator
from pathlib import Path

import geopandas
import pandas as pd
import pyarrow
import shapely

from landcover.change.alerts import ATTRIBUTES
from landcover.files import file_name
from landcover.period import Period

LAYER = "alerts"

# The column of the names of regions, where they are set.
REGIONS = "regions"

# Bytes: what maps on phones take.
LARGEST_FILE = 10_000_000

# Of a degree: a centimetre.
PRECISION = 1e-7

TEXTS = ("alert_id", "state")
NUMBERS = {"area_ha": float, "probability": float, "observations": int, "year": int, "month": int}
DATES = tuple(name for name in ATTRIBUTES if name not in (*TEXTS, *NUMBERS))

_DATE = pd.ArrowDtype(pyarrow.date32())
_TYPES = {
    **dict.fromkeys(TEXTS, str),
    **NUMBERS,
    **dict.fromkeys(DATES, _DATE),
}


def write_geopackage(
    alerts: geopandas.GeoDataFrame, path: Path, said: pd.DataFrame | None = None
) -> None:
    """Write alerts as a GeoPackage, whose dates are dates: QGIS can play them in time.

    Args:
        alerts: see `landcover.change.alerts`; the names of their `regions`, if any, are written as
            JSON.
        path: the file to write, which is not there yet.
        said: what people have said of them, as text, by `alert_id`; the columns follow.

    Raises:
        OSError: if there is no room for it.
    """
    # A table without alerts does not show what its columns are of.
    typed = alerts.astype(_TYPES)
    if REGIONS in typed:
        typed[REGIONS] = [json.dumps(names, ensure_ascii=False) for names in typed[REGIONS]]
        typed = typed.astype({REGIONS: str})
    if said is not None:
        typed = typed.merge(said.astype(str), how="left", left_on="alert_id", right_index=True)
    # Without Arrow, dates would become date-times.
    typed.to_file(path, layer=LAYER, driver="GPKG", use_arrow=True, geometry_type="MultiPolygon")


def read_geopackage(path: Path) -> geopandas.GeoDataFrame:
    """Return the alerts of a GeoPackage, as they were written.

    Args:
        path: of the file on this machine: the library that reads it knows no bucket.
    """
    alerts = geopandas.read_file(path, layer=LAYER)
    regions = [REGIONS] if REGIONS in alerts else []
    alerts = alerts[[*ATTRIBUTES, *regions, "geometry"]]
    for name in regions:
        alerts[name] = [json.loads(names) for names in alerts[name]]
    for name in DATES:
        dates = [None if pd.isna(moment) else moment.date() for moment in alerts[name]]
        alerts[name] = pd.Series(dates, alerts.index, dtype=object)
    return alerts


def write_for_phones(
    alerts: geopandas.GeoDataFrame, period: Period, folder: Path, largest: int = LARGEST_FILE
) -> list[Path]:
    """Write a month's new alerts as GeoJSON and KML, in several files where one would be too large.

    Args:
        alerts: the new ones (see `landcover.change.alerts.new_since`).
        period: the month.
        folder: where the files go.
        largest: bytes of the largest file.

    Returns:
        The files; the first of each kind is `alerts_YYYYMM`, those that follow are numbered.

    Raises:
        OSError: if there is no room for them.
    """
    shown = alerts.set_geometry(shapely.set_precision(alerts.geometry.array, PRECISION))
    shown.insert(0, "name", [f"{area:.1f} ha, {period}" for area in shown["area_ha"]])
    files = []
    for kind, driver in (("geojson", "GeoJSON"), ("kml", "LIBKML")):
        name = file_name(f"new_{kind}", period)
        # Maps on phones show the layer's name, which is the file's.
        built = folder / "parts" / name
        built.parent.mkdir(exist_ok=True)
        for number, part in enumerate(_parts(shown, driver, built, largest), 1):
            path = folder / (name if number == 1 else name.replace(".", f"_{number}."))
            files.append(part.rename(path))
    return files


def _parts(alerts: geopandas.GeoDataFrame, driver: str, path: Path, largest: int) -> Iterator[Path]:
    """Write alerts, by halves where they are too large; yield each file, which is then moved."""
    alerts.to_file(path, driver=driver, use_arrow=True)
    if path.stat().st_size <= largest or len(alerts) <= 1:
        yield path
        return
    path.unlink()
    half = len(alerts) // 2
    yield from _parts(alerts.iloc[:half], driver, path, largest)
    yield from _parts(alerts.iloc[half:], driver, path, largest)
