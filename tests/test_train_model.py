"""The task that trains: what it makes of samples, and what it tells of them."""

from collections.abc import Callable, Sequence

import geopandas
import numpy as np
import pandas as pd
import pytest
from prefect import flow
from upath import UPath

from landcover.classes import KnownClasses
from landcover.model.forest import ForestSettings
from landcover.model.ground import Together
from landcover.model.sampling import Origin, write_samples
from tasks.access.settings import MosaicSettings
from tasks.training import Training, train_model
from tests.months import run_of

pytestmark = pytest.mark.usefixtures("prefect_api")

BANDS = ("blue", "nir")
PATH = UPath("samples.parquet")


def write(polygons: Sequence[str], together: Together | None = ()) -> None:
    """Write five samples of each polygon, whose class is the first letter of its id."""
    ids = np.repeat(list(polygons), 5)
    labels = pd.Series(ids).str[0]
    random = np.random.default_rng(1)
    values = 1000 * labels.map(ord).to_numpy() + random.integers(0, 500, (2, len(ids)))
    rows = pd.DataFrame({"polygon_id": ids, "class_label": labels, "x": 0.0, "y": 0.0})
    points = geopandas.points_from_xy(rows["x"], rows["y"])
    frame = geopandas.GeoDataFrame(rows.assign(blue=values[0], nir=values[1]), geometry=points)
    write_samples(frame, Origin(BANDS, together=together), PATH)
    if together is None:
        pd.DataFrame(frame.drop(columns="geometry")).to_parquet(PATH)


def trained(**changed: object) -> Training:
    run = run_of(2025, 6, MosaicSettings)

    @flow
    def training() -> Training:
        return train_model(run, [PATH], ForestSettings(**{"trees": 5, **changed}), KnownClasses())

    return training()


def told(training: Training) -> list[str]:
    return [notice.key for notice in training.notices]


def test_copies_are_held_out_together_and_told_of(settings: Callable[..., None]) -> None:
    settings(MOSAIC_BANDS="blue=1,nir=4")
    write(["a1", "a1-copy", "b1", "b1-copy", "c1", "c2"], (("a1", "a1-copy"), ("b1", "b1-copy")))
    found = trained()
    assert found.metrics is not None
    assert found.metrics.not_validated == ("a", "b")
    assert found.metrics.accuracy.value == 1
    assert told(found) == ["polygons_on_same_ground"]


def test_where_all_lies_on_one_ground_a_model_is_trained_and_said_to_be_of_unknown_accuracy(
    settings: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    settings(MOSAIC_BANDS="blue=1,nir=4")
    write(["a1", "a2", "b1"], (("a1", "a2", "b1"),))
    for holdout in ("polygons", "blocks"):
        found = trained(holdout=holdout)
        assert found.metrics is not None
        assert (found.metrics.accuracy.value, found.metrics.folds) == (None, 0)
        assert told(found) == [
            "polygons_on_same_ground",
            "unlike_on_same_ground",
            "not_validated_at_all",
        ]
    assert "Nothing could be validated" in caplog.text
    assert "of different classes lie on the same ground, such as a1, b1" in caplog.text


def test_of_samples_that_another_program_wrote_each_polygon_is_held_out_by_itself_and_that_is_told(
    settings: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    settings(MOSAIC_BANDS="blue=1,nir=4")
    write(["a1", "a2", "b1", "b2"], together=None)
    found = trained()
    assert found.metrics is not None
    assert found.metrics.not_validated == ()
    assert told(found) == []
    assert "samples.parquet does not say which polygons lie on the same ground" in caplog.text
