"""The frame of a map: coordinates that can be told apart, wherever it lies."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import shapely
from pyproj import CRS

from landcover.geometry import reproject
from landcover.report.cartography import add_graticule, add_outline, frame_around, new_map
from landcover.report.wording import Wording


def labels(lonlat: shapely.Geometry, epsg: int) -> list[str]:
    """Return the coordinates that are written around a map of an area."""
    area = reproject(lonlat, 4326, epsg)
    frame = frame_around(area, CRS.from_epsg(epsg).to_wkt())
    figure, axes = new_map(frame)
    add_outline(axes, frame, area, fade=True)
    add_graticule(axes, frame, Wording("en"))
    plt.close(figure)
    return [text.get_text() for text in axes.texts]


@pytest.mark.parametrize("metres", [10, 40, 150, 1000, 40_000, 700_000])
@pytest.mark.parametrize("epsg", [3857, 32717, 4326])
def test_no_two_lines_have_the_same_coordinates(metres: int, epsg: int) -> None:
    """79.0030 and 79.0028 were both written as 79.003."""
    half = metres / 111_000 / 2
    written = labels(shapely.box(-79.003 - half, 0.1 - half, -79.003 + half, 0.1 + half), epsg)
    assert len(written) >= 2
    assert len(set(written)) == len(written)
    values = np.sort([float(label.split("°")[0]) for label in written if "W" in label])
    steps = np.diff(values)
    assert steps == pytest.approx(steps.mean(), rel=1e-3)


def test_meridians_go_on_over_the_antimeridian() -> None:
    written = labels(shapely.box(178.2, -18, 181.8, -16), 3832)
    assert {"179°\xa0E", "180°", "179°\xa0W"} <= {text.replace(".0", "") for text in written}
