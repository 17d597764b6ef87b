"""What lies beside a map for other tools: names of its classes for QGIS, and its STAC item."""

import json
from datetime import UTC, datetime
from pathlib import Path

import geopandas
import pystac
from shapely.geometry.base import BaseGeometry
from upath import UPath

from landcover.aoi import LONLAT
from landcover.files import publish
from landcover.mosaic import Mosaic
from landcover.sidecar import SUFFIX, sidecar_text
from landcover.stac import COLLECTION_NAME, map_collection, prediction_item, stac_text
from landcover.training import Model
from tasks.month import Month


def publish_companions(
    built: Path, month: Month, area: BaseGeometry, mosaic: Mosaic, model: Model
) -> None:
    """Publish the sidecar and the STAC item of a map, and the collection of all months' items.

    Args:
        built: the finished map on this machine.
        month: whose map.
        area: the area of interest in the mosaic's CRS.
        mosaic: the imagery.
        model: what predicted.
    """
    folder = month.folders.prediction_output_dir
    _publish_text(sidecar_text(model.names), built, folder / f"{built.name}{SUFFIX}")
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
    _publish_text(stac_text(item), built, folder / f"{item.id}.json")
    _publish_text(stac_text(map_collection(_items(folder))), built, folder / COLLECTION_NAME)


def _items(folder: UPath) -> list[pystac.Item]:
    """Return the items of a folder's maps, in the order of their months."""
    paths = sorted(folder.glob("prediction_*.json"), key=lambda path: path.name)
    return [pystac.Item.from_dict(json.loads(path.read_text("utf-8"))) for path in paths]


def _publish_text(text: str, beside: Path, final: UPath) -> None:
    built = beside.with_name(final.name)
    built.write_text(text, "utf-8")
    publish(built, final)
