"""The report's pictures, as files embedded in its page."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from landcover.report.cartography import DPI

TYPES = {"png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml"}

# Longest side in pixels, and JPEG quality, of what the Prefect UI shows.
SMALL, SMALL_QUALITY = 800, 80

# Of zlib's nine. The next takes twice as long, for a file that is a fifth smaller.
PNG_LEVEL = 5


@dataclass(frozen=True)
class Picture:
    """A picture of the report."""

    uri: str
    """The picture as a data URI."""

    small: str
    """A small version of it as a data URI."""

    alt: str
    """What it shows, in words."""


def map_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a map of few colours as a PNG, in which every pixel keeps its own."""
    drawn = _drawn(figure)
    return Picture(_encoded(drawn, "png", compress_level=PNG_LEVEL), _small(drawn), alt)


def photo_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a map of many colours as a JPEG, which is smaller."""
    drawn = _drawn(figure)
    return Picture(_encoded(drawn, "jpeg", quality=90), _small(drawn), alt)


def chart_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a chart as an SVG, which is sharp at any size."""
    canvas, file = FigureCanvasSVG(figure), BytesIO()
    # By itself matplotlib draws a chart once more before it is written, only to lay it out.
    if (layout := figure.get_layout_engine()) is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")
    canvas.print_svg(file, metadata={"Date": None})
    uri = _uri(file.getvalue(), "svg")
    return Picture(uri, uri, alt)


def _drawn(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _small(drawn: Image.Image) -> str:
    # Shrinking the picture takes a tenth of the time of drawing it again.
    shrunk = drawn.copy()
    shrunk.thumbnail((SMALL, SMALL))
    return _encoded(shrunk, "jpeg", quality=SMALL_QUALITY)


def _encoded(drawn: Image.Image, kind: str, **options: int) -> str:
    file = BytesIO()
    drawn.save(file, kind, dpi=(DPI, DPI), **options)
    return _uri(file.getvalue(), kind)


def _uri(file: bytes, kind: str) -> str:
    return f"data:{TYPES[kind]};base64,{b64encode(file).decode()}"
