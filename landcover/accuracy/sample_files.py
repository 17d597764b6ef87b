"""Files of a reference sample: what interpreters get, and the key that is kept from them.

Interpreters get ids and places. Who knew what the map says would see it there.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pyarrow
import pyogrio
from pyarrow import parquet
from upath import UPath

from landcover.accuracy.draw import DECIMALS
from landcover.errors import LandcoverError
from landcover.files import absolute
from landcover.geometry import LONLAT

# Where the key's schema has the design.
DESIGN = b"chocoforest"

COLUMNS = ("id", "lon", "lat", "row", "column", "stratum", "mapped")

# GeoPackages note when they were written: the same sample is to be the same file.
_ANY_DAY = "2015-01-01T00:00:00Z"


@dataclass(frozen=True)
class Sample:
    """A reference sample, as its key tells."""

    points: pd.DataFrame
    """One row a point: `id`, `lon`, `lat` (WGS 84, degrees), `row` and `column` of the map's grid,
    `stratum` and `mapped`, the map's class."""
    design: Mapping[str, Any]
    """What it is of (`of`, `period`, `from`, `to`, `map`), its `classes`, `strata` with true
    `hectares`, `pixels` and `points`, what lies outside of them (`outside_ha`), and the settings
    that it was drawn with."""


def write_points(points: pd.DataFrame, path: Path) -> None:
    """Write points as a GeoPackage for QGIS: places, and an integer `id`.

    Args:
        points: of a sample.
        path: the file to write, which is not there yet.

    Raises:
        OSError: if there is no room for it.
    """
    places = geopandas.points_from_xy(points["lon"], points["lat"])
    rows = geopandas.GeoDataFrame({"id": points["id"].astype("int32")}, geometry=places, crs=LONLAT)
    pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": _ANY_DAY})
    try:
        rows.to_file(path, layer=path.stem, driver="GPKG", geometry_type="Point")
    finally:
        pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": None})


def write_plots(points: pd.DataFrame, path: Path) -> None:
    """Write points as plots for Collect Earth Online: `LON,LAT,PLOTID`, in this order.

    Args:
        points: of a sample.
        path: the file to write.

    Raises:
        OSError: if there is no room for it.
    """
    plots = points[["lon", "lat", "id"]].set_axis(["LON", "LAT", "PLOTID"], axis="columns")
    plots.to_csv(path, index=False, float_format=f"%.{DECIMALS}f", lineterminator="\n")


def write_key(sample: Sample, path: Path) -> None:
    """Write what is kept from interpreters.

    Args:
        sample: all of it.
        path: the file to write.

    Raises:
        OSError: if there is no room for it.
    """
    table = pyarrow.Table.from_pandas(sample.points[list(COLUMNS)], preserve_index=False)
    metadata = {**(table.schema.metadata or {}), DESIGN: json.dumps(sample.design).encode()}
    parquet.write_table(table.replace_schema_metadata(metadata), path)


def read_key(path: UPath) -> Sample:
    """Return a sample by its key.

    Args:
        path: of the key, on this machine or in a bucket.

    Raises:
        FileNotFoundError: if it is not there.
        LandcoverError: if it is not the key of a sample.
    """
    content = path.read_bytes()
    try:
        table = parquet.read_table(BytesIO(content), columns=list(COLUMNS))
        design = json.loads(table.schema.metadata[DESIGN])
    # Of a damaged file pyarrow raises what a disk does.
    except (pyarrow.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        raise LandcoverError(
            f"{absolute(path)} is not the key of a sample that flows/draw_sample.py has drawn: put "
            "the file back, or draw the sample again with the same options and seed."
        ) from error
    return Sample(table.to_pandas(), design)
