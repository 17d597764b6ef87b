"""The STAC item of a map, and the collection that the items of all months make.

SpatioTemporal Asset Catalog 1.1 (https://stacspec.org) with the extensions projection, raster,
classification, file and processing: what catalogues, tile servers and QGIS find maps by.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Literal

import pystac
import rasterio
import shapely
from pydantic import BaseModel, ValidationInfo, field_validator
from pyproj import CRS
from pystac.extensions.classification import Classification, ClassificationExtension
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, RasterBand, RasterExtension
from pystac.utils import datetime_to_str
from shapely.geometry import MultiPolygon, box
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

from landcover.areas import pixel_areas
from landcover.classes import NODATA, Colour, Legend
from landcover.errors import LandcoverError
from landcover.files import COLLECTION_NAME, file_name
from landcover.geometry import (
    LONLAT,
    intersection,
    lonlat_bounds,
    narrowest,
    polygonal,
    reproject,
)
from landcover.grid import Grid, grid_of
from landcover.period import CalendarYear, Period
from landcover.version import code_version

COLLECTION = "chocoforest"
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"


@dataclass(frozen=True)
class Kind:
    """What an item describes: a raster, and the files beside it."""

    name: str
    """Of the item's file (see `landcover.files.NAMES`)."""
    title: str
    """Of the item, before its month or year."""
    asset: str
    """The key of the raster, which is there a second time as `data`."""
    asset_title: str
    """Its title."""
    beside: tuple[tuple[str, str, str, str, str], ...]
    """Of each file beside it: key, name in `landcover.files.NAMES`, title, media type and role."""


MAP = Kind(
    "item",
    "Land cover",
    "map",
    "Land-cover map",
    (
        ("confidence", "confidence", "Confidence in percent", pystac.MediaType.COG, "data"),
        ("report", "report", "Report", pystac.MediaType.HTML, "overview"),
    ),
)
RECORD = Kind(
    "record_item",
    "Deforestation up to",
    "deforestation",
    "Record of deforestation",
    (
        ("alerts", "alerts", "Alerts by date and confidence", pystac.MediaType.COG, "data"),
        ("last_seen", "last_seen", "Day last seen clear", pystac.MediaType.COG, "data"),
        ("patches", "patches", "Alerts", pystac.MediaType.GEOPACKAGE, "data"),
        ("report", "record_page", "Report", pystac.MediaType.HTML, "overview"),
    ),
)

ANNUAL = Kind(
    "forest_item",
    "Forest at the end of",
    "forest",
    "Annual forest map",
    (
        ("clear_months", "clear_months", "Number of clear months", pystac.MediaType.COG, "data"),
        ("report", "forest_page", "Report", pystac.MediaType.HTML, "overview"),
    ),
)

# By the names of their files.
ITEMS = (MAP.name, RECORD.name, ANNUAL.name)

# In degrees. An area of interest may follow a coast by the metre; to find a map by, ten metres do.
_TOLERANCE = 1e-4
_PRECISION = 1e-7

# What a file's SHA-256 starts with as a multihash: the code of the hash, and its length in bytes.
_MULTIHASH_SHA256 = "1220"


def raster_item(
    kind: Kind,
    path: Path,
    digest: str,
    period: Period | CalendarYear,
    area: BaseGeometry,
    legend: Legend,
    lineage: str,
    made: datetime,
) -> pystac.Item:
    """Describe a finished map, a record of deforestation or an annual map, as a STAC item.

    Its footprint is where the map can hold data: the area of interest as far as the map reaches,
    to some ten metres; over the antimeridian, the west of its bounds is greater than the east. It
    belongs to the collection `chocoforest`, because pgSTAC takes no item without one, and links to
    it as `./collection.json`, because STAC takes no such item without the link: see
    `map_collection`. Resolutions are the side of a square with the pixels' true mean area, in
    metres.

    Args:
        kind: `MAP`, `RECORD` or `ANNUAL`.
        path: the map on this machine, as `landcover.maps.cog.write_cog` writes it.
        digest: the SHA-256 of its file.
        period: of the map: a month, or a year.
        area: the area of interest, polygons in longitude and latitude (EPSG:4326).
        legend: of the map.
        lineage: what the map was made of and how, in a sentence; CommonMark.
        made: when the map was made, with its time zone.

    Raises:
        LandcoverError: if the map lies outside the area of interest, or both reach over a pole.
        RasterioIOError: if the map cannot be read.
    """
    with rasterio.open(path) as dataset:
        grid = grid_of(dataset)
        authority = dataset.crs.to_authority()
    shape = footprint(area, grid, f"The map {path}")
    resolution = round(pixel_areas(grid)(grid.whole) ** 0.5, 3)
    item = pystac.Item(
        id=Path(file_name(kind.name, period)).stem,
        geometry=json.loads(shapely.to_geojson(shape)),
        bbox=list(lonlat_bounds(shape)),
        datetime=None,
        start_datetime=datetime.combine(period.start, time(), UTC),
        end_datetime=datetime.combine(period.end, time(23, 59, 59), UTC),
        properties={"title": f"{kind.title} {period}", "gsd": resolution},
        collection=COLLECTION,
    )
    item.add_link(
        pystac.Link("collection", f"./{COLLECTION_NAME}", media_type=pystac.MediaType.JSON)
    )
    _add_projection(item, grid, ":".join(authority) if authority else None)
    _add_processing(item, lineage, made)
    _add_raster(item, kind, path, digest, legend, resolution)
    for key, name, title, media_type, role in kind.beside:
        href = f"./{file_name(name, period)}"
        item.add_asset(key, pystac.Asset(href, title, media_type=media_type, roles=[role]))
    return item


def map_collection(items: Sequence[pystac.Item]) -> pystac.Collection:
    """Describe the maps of all months as the STAC collection that their items belong to.

    pgSTAC takes it before the items; clients that read files follow its links to the items, which
    should lie beside it.

    Args:
        items: of `raster_item`, at least one, in the order in which they should be linked.
    """
    extent = pystac.Extent.from_items(items)
    # pystac knows no bounds over the antimeridian.
    boxes = [item.bbox for item in items if item.bbox]
    if boxes:
        extent.spatial = pystac.SpatialExtent([list(narrowest(boxes))])
    collection = pystac.Collection(
        id=COLLECTION,
        title="Monthly land cover",
        description="Land cover by month, classified from satellite mosaics by a random forest.",
        extent=extent,
        license="other",
    )
    for item in items:
        link = pystac.Link(
            pystac.RelType.ITEM,
            f"./{item.id}.json",
            media_type=pystac.MediaType.GEOJSON,
            title=item.properties["title"],
        )
        collection.add_link(link)
    return collection


class _ItemOfMap(BaseModel):
    """What the collection takes from the item of a map, and what pystac must find in any."""

    type: Literal["Feature"]
    stac_version: str
    id: str
    collection: Literal["chocoforest"]
    bbox: tuple[float, float, float, float]
    properties: "_Properties"
    links: list[dict[str, object]]
    assets: dict[str, dict[str, object]]

    @field_validator("id")
    @classmethod
    def _is_its_name(cls, value: str, info: ValidationInfo) -> str:
        if value != info.context:
            raise ValueError(f"{value} is another map's")
        return value


class _Properties(BaseModel):
    title: str
    start_datetime: datetime
    end_datetime: datetime


def read_item(path: Path) -> pystac.Item:
    """Read the item of a map, as `raster_item` made it and `stac_text` wrote it.

    Args:
        path: the file on this machine, named after the item.

    Raises:
        ValidationError: if the file is something else.
    """
    text = path.read_bytes()
    _ItemOfMap.model_validate_json(text, context=path.stem)
    return pystac.Item.from_dict(json.loads(text))


def stac_text(document: pystac.Item | pystac.Collection) -> str:
    """Return an item or a collection as JSON, its links and assets as they were given."""
    return json.dumps(document.to_dict(include_self_link=False, transform_hrefs=False), indent=2)


def footprint(area: BaseGeometry, grid: Grid, what: str = "The map") -> BaseGeometry:
    """Return a grid's part of an area, in longitude and latitude.

    Polygons are cut at the antimeridian, and their outer rings run anticlockwise (RFC 7946, 3.1.6
    and 3.1.9).

    Args:
        area: polygons in longitude and latitude.
        grid: of a map.
        what: the map, for messages.

    Raises:
        LandcoverError: if the grid lies outside the area, or both reach over a pole.
    """
    outline = box(*grid.bounds)
    try:
        part = intersection(area, reproject(outline, grid.crs, LONLAT, "The map's grid"))
    except LandcoverError:
        # A grid may reach over a pole, or over the edge of the globe, where the area does not.
        there = intersection(outline, reproject(area, LONLAT, grid.crs))
        part = reproject(there, grid.crs, LONLAT, "The part of the area of interest on the map")
    small = shapely.set_precision(shapely.simplify(part, _TOLERANCE), _PRECISION)
    if polygonal(small).is_empty:
        raise LandcoverError(
            f"{what} lies outside the area of interest: AOI_DEFINITION should be the one that the "
            "map was made for."
        )
    oriented = [orient(polygon) for polygon in shapely.get_parts(polygonal(small))]
    return oriented[0] if len(oriented) == 1 else MultiPolygon(oriented)


def _add_projection(item: pystac.Item, grid: Grid, code: str | None) -> None:
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=code,
        wkt2=None if code else CRS.from_user_input(grid.crs).to_wkt(),
        bbox=list(grid.bounds),
        shape=[grid.height, grid.width],
        transform=list(grid.transform[:6]),
    )


def _add_processing(item: pystac.Item, lineage: str, made: datetime) -> None:
    """Say how the map was made, in the extension that pystac has no class for."""
    item.stac_extensions.append(PROCESSING)
    item.properties |= {
        "processing:lineage": lineage,
        "processing:software": {"chocoforest": code_version()},
        "processing:datetime": datetime_to_str(made.astimezone(UTC)),
    }


def _add_raster(
    item: pystac.Item, kind: Kind, path: Path, digest: str, legend: Legend, resolution: float
) -> None:
    """Add the raster, twice: tile servers that know no catalogue of ours ask for `data`."""
    # STAC 1.1 has these two fields for the asset itself; older readers look in the bands.
    fields = {"data_type": DataType.UINT8, "nodata": NODATA}
    asset = pystac.Asset(
        f"./{path.name}",
        kind.asset_title,
        media_type=pystac.MediaType.COG,
        roles=["data"],
        extra_fields=fields,
    )
    item.add_asset(kind.asset, asset)
    band = RasterBand.create(nodata=NODATA, data_type=DataType.UINT8, spatial_resolution=resolution)
    RasterExtension.ext(asset, add_if_missing=True).apply([band])
    ClassificationExtension.ext(asset, add_if_missing=True).apply(_classes(legend))
    FileExtension.ext(asset, add_if_missing=True).apply(
        checksum=_MULTIHASH_SHA256 + digest, size=path.stat().st_size
    )
    item.add_asset("data", asset.clone())


def _classes(legend: Legend) -> list[Classification]:
    """Return the classes of a map and that of the pixels that hold none."""
    titles = {**dict(sorted(legend.names.items())), NODATA: "No data"}
    short = {code: _short_name(title) for code, title in titles.items()}
    uses = Counter(short.values())
    return [
        Classification.create(
            value=code,
            name=short[code] if short[code] and uses[short[code]] == 1 else f"class_{code}",
            title=title,
            color_hint=None if code == NODATA else _hexadecimal(legend.colours[code]),
            nodata=True if code == NODATA else None,
        )
        for code, title in titles.items()
    ]


def _hexadecimal(colour: Colour) -> str:
    return "{:02X}{:02X}{:02X}".format(*colour)


def _short_name(title: str) -> str:
    """Return a title in the letters that the extension allows; it may be empty."""
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^0-9a-z]+", "_", letters).strip("_")
