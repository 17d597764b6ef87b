"""What lies beside a map for other tools: names of its classes for QGIS, and its STAC item."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pystac
from upath import UPath

from landcover.geometry import LONLAT
from landcover.imagery.images import find_files
from landcover.maps.layers import Layer
from landcover.maps.sidecar import SUFFIX, sidecar_text
from landcover.maps.stac import map_collection, prediction_item, stac_text
from landcover.model.forest import Model
from tasks.run import Run


def build_companions(
    built: Path, digest: str, run: Run, classes: Layer, model: Model, origin: str
) -> list[Path]:
    """Write the sidecar and the STAC item of a map.

    Args:
        built: the finished map on this machine; they are written beside it.
        digest: its SHA-256.
        run: whose map.
        classes: the layer that it is.
        model: what predicted.
        origin: of the imagery.

    Returns:
        Their files, beside the map.
    """
    assert classes.legend is not None
    item = prediction_item(
        built,
        digest,
        run.period,
        run.area(LONLAT),
        classes.legend,
        f"Predicted by the random forest {model.path.name} from the imagery {origin}.",
        datetime.now(UTC),
    )
    texts = {
        built.with_name(f"{built.name}{SUFFIX}"): sidecar_text(classes.legend),
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
