"""The page on which people label the points of a reference sample, with nothing but a browser.

It shows what is on the ground, and neither stratum nor map class. It is a file of its own, and a
point takes 10 kB of it.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from rasterio.windows import Window

from landcover.accuracy.strata import FOREST, LOSS, NON_FOREST, Of
from landcover.geometry import to_lonlat
from landcover.imagery.mosaic import Mosaic
from landcover.imagery.thumbnails import primaries
from landcover.period import Period
from landcover.report.page import template
from landcover.report.texts import FIXED
from landcover.report.true_colour import limits_of, stretch
from landcover.report.wording import Language, Wording

# Pixels of imagery on each side of a point's own.
AROUND = 40
SIDE = 2 * AROUND + 1

# Points that lie in one square of this many pixels a side, that of a quad, are read one after
# another.
SQUARE = 4096

QUALITY = 85

# What is drawn where there is no valid imagery.
BLANK = (200, 200, 200)

# Of a stretch, one of so many pixels decides.
EVERY = 7

LOSS_CLASSES = {LOSS: "sample_loss", FOREST: "sample_forest", NON_FOREST: "sample_non_forest"}


@dataclass(frozen=True)
class SamplePage:
    """All that goes into the page."""

    of: Of
    """What the sample is of."""
    first: Period
    """The first month of the period; that of the map where there is none."""
    last: Period
    """Its last month, or that of the map."""
    points: pd.DataFrame
    """`id`, `lon` and `lat` of each point, in the order of their ids."""
    classes: Sequence[str]
    """What they may be labelled."""
    pictures: Mapping[Period, Sequence[bytes | None]]
    """Of each month that is shown, a JPEG of each point; None where it has no valid imagery."""
    metres: float | None
    """How wide pictures are on the ground; None where there are none."""
    name: str
    """Of the sample: labels are kept by it."""
    file: str
    """The name of the file in which labels are saved."""


@dataclass(frozen=True)
class Seen:
    """A point in one month: a picture as a data URI, or why there is none."""

    month: str
    uri: str | None
    alt: str


@dataclass(frozen=True)
class Point:
    """A point of the page."""

    id: int
    place: str
    pictures: Sequence[Seen]


@dataclass(frozen=True)
class Place:
    """The imagery around a point."""

    number: int
    """Of the point, in the order of the sample."""
    values: NDArray[Any]
    """Red, green and blue, (3, rows, columns)."""
    valid: NDArray[np.bool_]
    """Which of them count, (rows, columns)."""


def squares_of(mosaic: Mosaic, points: pd.DataFrame) -> list[list[tuple[int, Window]]]:
    """Return what is read of imagery around points, together what lies in one quad.

    Args:
        mosaic: the imagery.
        points: their `lon` and `lat`.

    Returns:
        The number and the window of each point, in a list for each square.
    """
    grid = mosaic.grid
    lons, lats = points["lon"].to_numpy(), points["lat"].to_numpy()
    xs, ys = to_lonlat(grid.crs).transform(lons, lats, direction="INVERSE")
    columns, rows = np.floor(~grid.transform @ (np.asarray(xs), np.asarray(ys))).astype(int)
    squares: dict[tuple[int, int], list[tuple[int, Window]]] = {}
    for number, (column, row) in enumerate(zip(columns.tolist(), rows.tolist(), strict=True)):
        window = Window(column - AROUND, row - AROUND, SIDE, SIDE)
        squares.setdefault((row // SQUARE, column // SQUARE), []).append((number, window))
    return [sorted(found, key=lambda item: item[1].row_off) for found in squares.values()]


def read_places(mosaic: Mosaic, square: Sequence[tuple[int, Window]]) -> list[Place]:
    """Return the imagery around some points.

    Args:
        mosaic: the imagery; the bands named red, green and blue, or else its first three.
        square: the number and the window of each, as `squares_of` returns them.

    Raises:
        RasterioIOError: if a file cannot be read; it is named.
    """
    numbers = list(mosaic.imagery.values())
    bands = [numbers[place] for place in primaries(list(mosaic.imagery))]
    places = []
    with mosaic.open() as reader:
        for number, window in square:
            found = reader.read(bands, window)
            places.append(Place(number, found.values, found.valid))
    return places


def draw_places(places: Sequence[Place]) -> list[bytes | None]:
    """Return a JPEG of the imagery around each point, in the order of the sample.

    All are stretched alike, so that a colour means the same at each point.

    Args:
        places: all points of a month.
    """
    deciding = [place.values[:, place.valid][:, ::EVERY] for place in places]
    shown = np.concatenate(deciding, axis=1)
    if not shown.size:
        return [None] * len(places)
    limits = limits_of(shown)
    in_order = sorted(places, key=lambda place: place.number)
    return [_jpeg(place, limits) if place.valid.any() else None for place in in_order]


def _jpeg(place: Place, limits: tuple[float, float]) -> bytes:
    picture = stretch(place.values, place.valid, limits)
    picture[~place.valid, :3] = BLANK
    file = BytesIO()
    Image.fromarray(picture[..., :3]).save(file, "jpeg", quality=QUALITY)
    return file.getvalue()


def render_sample(page: SamplePage, language: Language) -> str:
    """Return the page as HTML.

    Args:
        page: what it shows.
        language: of its texts and numbers.
    """
    wording = Wording(language)
    script = files(__package__).joinpath("sample.js").read_text("utf-8")
    months = {"first": wording.month(page.first), "last": wording.month(page.last)}
    is_loss = page.of == "deforestation"
    count = wording.number(len(page.points))
    title, lead = (
        wording.say(f"sample_loss_{part}", **months, count=count)
        if is_loss
        else wording.say(f"sample_{part}", month=months["last"], count=count)
        for part in ("title", "lead")
    )
    return template("sample.html.j2").render(
        say=wording.say,
        wording=wording,
        title=title,
        lead=lead,
        seen=_what_is_seen(page, wording),
        count=count,
        name=page.name,
        file=page.file,
        side=SIDE,
        pixel=100 / SIDE,
        points=_points(page, wording),
        choices=[("", wording.say("sample_no_label")), *_choices(page, wording)],
        # The only script that a browser runs on the page is this one.
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def _what_is_seen(page: SamplePage, wording: Wording) -> str:
    if page.metres is None:
        return wording.say("sample_none_there")
    return wording.say("sample_marked", metres=wording.number(page.metres))


def _choices(page: SamplePage, wording: Wording) -> list[tuple[str, str]]:
    """Return what a point may be labelled: as files have it, and as people read it."""
    if page.of == "deforestation":
        return [(name, wording.say(LOSS_CLASSES[name])) for name in page.classes]
    return [(name, wording.class_name(name)) for name in page.classes]


def _points(page: SamplePage, wording: Wording) -> list[Point]:
    places = page.points[["id", "lon", "lat"]].to_numpy()
    return [
        Point(
            int(number),
            f"{wording.number(lat, 5)}°,{FIXED}{wording.number(lon, 5)}°",
            [
                _seen(int(number), month, pictures[place], wording)
                for month, pictures in page.pictures.items()
            ],
        )
        for place, (number, lon, lat) in enumerate(places)
    ]


def _seen(point: int, period: Period, picture: bytes | None, wording: Wording) -> Seen:
    month = wording.month(period)
    if picture is None:
        return Seen(month, None, wording.say("sample_no_imagery", month=month))
    uri = f"data:image/jpeg;base64,{b64encode(picture).decode()}"
    return Seen(month, uri, wording.say("sample_picture_alt", id=point, month=month))
