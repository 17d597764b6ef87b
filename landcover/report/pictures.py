"""The report's pictures, as files that stand inside a page."""

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure

from landcover.report.cartography import DPI

TYPES = {"png": "image/png", "jpeg": "image/jpeg", "svg": "image/svg+xml"}

# Pixels and JPEG quality of what the Prefect UI shows.
SMALL, SMALL_QUALITY = 800, 80


@dataclass(frozen=True)
class Picture:
    """A picture of the report.

    Attributes:
        uri: the picture as a data URI.
        small: a small version of it as a data URI.
        alt: what it shows, in words.
    """

    uri: str
    small: str
    alt: str


def map_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a map of few colours, whose every pixel keeps its own."""
    return Picture(_uri(figure, "png"), _small(figure), alt)


def photo_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a map of many colours, which is smaller as a JPEG."""
    return Picture(_uri(figure, "jpeg", pil_kwargs={"quality": 90}), _small(figure), alt)


def chart_as_picture(figure: Figure, alt: str) -> Picture:
    """Return a chart, sharp at any size."""
    return Picture(_uri(figure, "svg", metadata={"Date": None}), _small(figure), alt)


def _small(figure: Figure) -> str:
    dpi = min(DPI, SMALL / max(figure.get_size_inches()))
    return _uri(figure, "jpeg", dpi=dpi, pil_kwargs={"quality": SMALL_QUALITY})


def _uri(figure: Figure, kind: str, **options: Any) -> str:  # noqa: ANN401
    file = BytesIO()
    figure.savefig(file, format=kind, **({"dpi": DPI} | options))
    return f"data:{TYPES[kind]};base64,{b64encode(file.getvalue()).decode()}"
