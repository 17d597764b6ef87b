"""What lies beside a map for other tools: names of its classes for QGIS, and its STAC item."""

import json
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import geopandas
import pystac
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.aoi import LONLAT
from landcover.files import find_files
from landcover.mosaic import Mosaic
from landcover.sidecar import SUFFIX, sidecar_text
from landcover.stac import COLLECTION_NAME, map_collection, prediction_item, stac_text
from landcover.training import Model
from tasks.month import Month


def build_companions(
    built: Path, month: Month, area: BaseGeometry, mosaic: Mosaic, model: Model
) -> dict[Path, UPath]:
    """Write the sidecar and the STAC item of a map, and the collection of all months' items.

    Args:
        built: the finished map on this machine; they are written beside it.
        month: whose map.
        area: the area of interest in the mosaic's CRS.
        mosaic: the imagery.
        model: what predicted.

    Returns:
        The path that each is to be published under.
    """
    folder = month.folders.prediction_output_dir
    (lonlat,) = geopandas.GeoSeries([area], crs=mosaic.grid.crs).to_crs(LONLAT)
    item = prediction_item(
        built,
        f"./{built.name}",
        month.year,
        month.month,
        lonlat,
        model.names,
        f"Predicted by the random forest {model.path.name} from the imagery {mosaic.origin}.",
        datetime.now(UTC),
    )
    # As it will be read by the next month, so that the collection is the same.
    written = pystac.Item.from_dict(json.loads(stac_text(item)))
    items = {other.id: other for other in _items(folder)} | {item.id: written}
    texts = {
        f"{built.name}{SUFFIX}": sidecar_text(model.names),
        f"{item.id}.json": stac_text(item),
        COLLECTION_NAME: stac_text(map_collection([items[name] for name in sorted(items)])),
    }
    for name, text in texts.items():
        built.with_name(name).write_text(text, "utf-8")
    return {built.with_name(name): folder / name for name in texts}


def _items(folder: UPath) -> list[pystac.Item]:
    """Return the items of a folder's maps."""
    found = find_files(folder.fs, f"{folder.path.rstrip('/')}/prediction_*.json")
    names = [PurePosixPath(entry["name"]).name for entry in found]
    return [pystac.Item.from_dict(json.loads((folder / name).read_text("utf-8"))) for name in names]
