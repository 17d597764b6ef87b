"""The report's pictures, as files embedded in its page."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from landcover.report.cartography import DPI

TYPES = {"png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml"}

# Longest side in pixels, and JPEG quality, of what the Prefect UI shows.
SMALL, SMALL_QUALITY = 800, 80


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
    file = _drawn(figure, "png")
    return Picture(_uri(file, "png"), _small(file), alt)


def photo_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a map of many colours as a JPEG, which is smaller."""
    file = _drawn(figure, "jpeg", pil_kwargs={"quality": 90})
    return Picture(_uri(file, "jpeg"), _small(file), alt)


def chart_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a chart as an SVG, which is sharp at any size."""
    uri = _uri(_drawn(figure, "svg", metadata={"Date": None}), "svg")
    return Picture(uri, uri, alt)


def _drawn(figure: Figure, kind: str, **options: Any) -> bytes:  # noqa: ANN401
    file = BytesIO()
    figure.savefig(file, format=kind, dpi=DPI, **options)
    return file.getvalue()


def _small(picture: bytes) -> str:
    # Shrinking the picture takes a tenth of the time of drawing it again.
    file = BytesIO()
    with Image.open(BytesIO(picture)) as image:
        shrunk = image.convert("RGB")
        shrunk.thumbnail((SMALL, SMALL))
        shrunk.save(file, "jpeg", quality=SMALL_QUALITY)
    return _uri(file.getvalue(), "jpeg")


def _uri(file: bytes, kind: str) -> str:
    return f"data:{TYPES[kind]};base64,{b64encode(file).decode()}"
