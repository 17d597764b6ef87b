"""What lies beside a map for other tools: names of its classes for QGIS, and its STAC item."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pystac
from prefect.logging import get_run_logger
from pydantic import ValidationError
from upath import UPath

from landcover.errors import TransientError
from landcover.files import absolute, fetch, is_named, scratch
from landcover.geometry import LONLAT
from landcover.maps.layers import Layer
from landcover.maps.sidecar import sidecar_text
from landcover.maps.stac import ITEMS, MAP, map_collection, raster_item, read_item, stac_text
from landcover.model.forest import Model
from landcover.publishing import publish
from tasks.access.tables import lock_collection
from tasks.retries import io_task
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
    item = raster_item(
        MAP,
        built,
        digest,
        run.period,
        run.area(LONLAT),
        classes.legend,
        f"Predicted by the random forest {model.path.name} from the imagery {origin}.",
        datetime.now(UTC),
    )
    texts = {
        built.with_name(run.files.legend.name): sidecar_text(classes.legend),
        built.with_name(run.files.item.name): stac_text(item),
    }
    for path, text in texts.items():
        path.write_text(text, "utf-8")
    return list(texts)


@io_task("list maps", "list maps {run}")
def list_maps(run: Run) -> None:
    """Write the collection of all months' STAC items.

    Args:
        run: whose map is published.

    Raises:
        LandcoverError: if the collection cannot be written.
        TransientError: if database or bucket cannot be reached, or another month ends meanwhile.
    """
    with run.storage(run.files.collection), scratch(run.files.work) as folder:
        found = _find_items(run.files.maps)
        built = folder / run.files.collection.name
        items = _read_items([run.files.maps / name for name in found], folder)
        built.write_text(stac_text(map_collection(items)), "utf-8")
        # Months may end at once, and the collection of one must hold the other.
        with run.tables() as connection:
            lock_collection(connection)
            if _find_items(run.files.maps) != found:
                raise TransientError("Another month was mapped while the maps were listed.")
            publish(built, run.files.collection)


def _find_items(maps: UPath) -> dict[str, object]:
    """Return the names of the items of all months, sorted, and what changes with each file."""
    there = maps.fs.ls(maps.path, detail=True)
    versions = {
        PurePosixPath(entry["name"]).name: entry.get("ETag") or entry.get("mtime")
        for entry in there
    }
    return {
        name: versions[name]
        for name in sorted(versions)
        if any(is_named(name, item) for item in ITEMS)
    }


def _read_items(paths: Sequence[UPath], folder: Path) -> list[pystac.Item]:
    """Read the items of maps; what is not one of them is named and left out."""
    items = []
    for path, here in zip(paths, fetch(paths, folder), strict=True):
        try:
            items.append(read_item(here))
        except ValidationError as error:
            wrong = error.errors()[0]
            get_run_logger().warning(
                "%s is not the STAC item of a map (%s: %s), so the collection of maps leaves it "
                "out: move it away.",
                absolute(path),
                ".".join(map(str, wrong["loc"])) or "the file",
                wrong["msg"],
            )
    return items
