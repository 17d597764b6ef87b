"""The one valid pixel: what is trained on and what is predicted, whatever the imagery and area."""

from pathlib import Path
from tempfile import TemporaryDirectory

import geopandas
import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from landcover.classes import NODATA
from landcover.maps.lookup import fastest
from landcover.maps.prediction import predict_window
from landcover.model.forest import ForestSettings, new_pipeline
from landcover.model.sampling import SamplingSettings, sample_polygons
from tests.rasters import ORIGIN, centres, mosaic_of, pixel_box, write_raster

HEIGHT, WIDTH = 24, 30
EMPTY = 0

# Few values, so that the one for nodata is among them in some band of many pixels.
values = arrays(np.uint16, (4, HEIGHT, WIDTH), elements=st.sampled_from([EMPTY, 7, 80, 900]))
masks = arrays(np.bool_, (HEIGHT, WIDTH))


@st.composite
def areas(draw: st.DrawFn) -> shapely.Polygon:
    """Draw an area of any corners, none of whose edges runs through the centre of a pixel."""
    numbers = st.tuples(st.integers(-5, WIDTH + 5), st.integers(-5, HEIGHT + 5))
    points = draw(st.lists(numbers, min_size=3, max_size=7, unique=True))
    hull = shapely.MultiPoint(points).convex_hull.buffer(0.37, quad_segs=1)
    return shapely.transform(hull, lambda xy: np.column_stack(ORIGIN @ xy.T))


@settings(max_examples=60)
@given(values=values, alpha=st.none() | masks, nodata=st.none() | st.just(EMPTY), area=areas())
def test_valid_pixels_in_the_area_are_predicted_and_only_valid_ones_trained_on(
    values, alpha, nodata, area
):
    valid = np.ones((HEIGHT, WIDTH), dtype=bool) if alpha is None else alpha.copy()
    if nodata is not None:
        valid &= (values != nodata).all(axis=0)
    inside = shapely.contains_properly(area, centres(HEIGHT, WIDTH))
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.tif")
        mosaic = mosaic_of([write_raster(path, values, alpha=alpha, nodata=nodata)], Path(folder))

        numbered = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
        halves = [pixel_box(0, 0, 15, HEIGHT), pixel_box(15, 0, WIDTH, HEIGHT)]
        drawn = geopandas.GeoDataFrame(
            {"polygon_id": ["west", "east"], "class_label": ["a", "b"]},
            geometry=[half & area for half in halves],
            crs=3857,
        )
        drawn = drawn[~drawn.is_empty & (drawn.area > 0)]
        samples = sample_polygons(mosaic, drawn, SamplingSettings(max_pixels=numbered.size)).rows
        columns, rows = ~ORIGIN @ (samples["x"].to_numpy(), samples["y"].to_numpy())
        taken = numbered[np.floor(rows).astype(int), np.floor(columns).astype(int)]
        assert sorted(taken) == sorted(numbered[valid & inside])
        bands = samples[list(mosaic.bands)].to_numpy()
        assert np.array_equal(bands, values.reshape(4, -1)[:, taken].T)

        model = new_pipeline(ForestSettings(trees=2), jobs=1).fit(
            values.reshape(4, -1).T, (numbered.ravel() % 3).astype(np.uint8)
        )
        codes, confidence = predict_window(
            mosaic, fastest(model), list(mosaic.bands), area, mosaic.grid.whole
        )
        assert np.array_equal(codes != NODATA, valid & inside)
        assert np.array_equal(confidence != NODATA, valid & inside)
