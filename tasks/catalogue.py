"""What lies beside a map for other tools: names of its classes for QGIS, and its STAC item."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import geopandas
import pystac
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.aoi import LONLAT
from landcover.imagery.images import find_files
from landcover.imagery.mosaic import Mosaic
from landcover.maps.sidecar import SUFFIX, sidecar_text
from landcover.maps.stac import map_collection, prediction_item, stac_text
from landcover.model.forest import Model
from tasks.run import Month


def build_companions(
    built: Path, month: Month, area: BaseGeometry, mosaic: Mosaic, model: Model
) -> list[Path]:
    """Write the sidecar and the STAC item of a map.

    Args:
        built: the finished map on this machine; they are written beside it.
        month: whose map.
        area: the area of interest in the mosaic's CRS.
        mosaic: the imagery.
        model: what predicted.

    Returns:
        Their files, beside the map.
    """
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
    texts = {
        built.with_name(f"{built.name}{SUFFIX}"): sidecar_text(model.names),
        built.with_name(f"{item.id}.json"): stac_text(item),
    }
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    return list(texts)


def build_collection(folder: UPath, waiting: Sequence[UPath], built: Path) -> None:
    """Write the collection of all months' STAC items.

    Args:
        folder: of the maps that are published, and their items.
        waiting: files that will be published with it, among them items of other maps.
        built: the file to write.
    """
    found = find_files(folder.fs, f"{folder.path.rstrip('/')}/prediction_*.json")
    names = [PurePosixPath(entry["name"]).name for entry in found]
    paths = [*(folder / name for name in names), *waiting]
    read = [_read_item(path) for path in paths if path.suffix == ".json"]
    items = {item.id: item for item in read}
    built.write_text(stac_text(map_collection([items[name] for name in sorted(items)])), "utf-8")


def _read_item(path: UPath) -> pystac.Item:
    return pystac.Item.from_dict(json.loads(path.read_text("utf-8")))
