"""Prediction by looking up is the model's own prediction, for every pixel."""

import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from landcover.classes import NODATA
from landcover.maps.lookup import BATCH, CHUNK, Direct, Lookup, fastest
from landcover.maps.tables import FIRST_SLOTS, Table
from landcover.model.bins import LogBins
from landcover.model.indices import with_normalized_differences


def train(random, bands, dtype, bins=16, *, depth=None, trees=7, between=()):
    """Train a small forest on reflectances of classes that overlap."""
    codes = random.choice([0, 1, 4, 254], 300).astype("uint8")
    values = (random.lognormal(5, 0.6, (300, bands)) + codes[:, np.newaxis]).astype(dtype)
    forest = RandomForestClassifier(trees, max_depth=depth, random_state=0)
    steps = [("bins", LogBins(bins)), *between, ("forest", forest)]
    return Pipeline(steps).fit(values, codes)


def assert_equal(answer, model, values, wanted):
    """Check an answer about pixels (bands, rows, columns) against scikit-learn's."""
    codes, confidence = answer
    assert (codes[~wanted] == NODATA).all()
    assert (confidence[~wanted] == 0).all()
    if wanted.any():
        asked = values[:, wanted].T
        assert np.array_equal(codes[wanted], model.predict(asked))
        winning = model.predict_proba(asked).max(axis=1)
        assert np.array_equal(confidence[wanted], np.rint(100 * winning))


def test_the_model_itself_is_asked_for_a_bounded_number_of_pixels_at_once():
    asked = []

    def note(values):
        asked.append(len(values))
        return values

    random = np.random.default_rng(1)
    values = random.lognormal(5, 1, (5, 3, CHUNK)).astype("uint16")
    wanted = random.random((3, CHUNK)) < 0.8
    forest = RandomForestClassifier(3, max_depth=4, random_state=0)
    forest.fit(values[:, 0, :300].T, random.integers(0, 5, 300))
    model = Pipeline([("note", FunctionTransformer(note)), ("forest", forest)])
    codes, confidence = Direct(model).predict(values, wanted)
    assert sum(asked) == wanted.sum()
    assert max(asked) <= CHUNK
    assert np.array_equal(codes[wanted], forest.predict(values[:, wanted].T))
    assert (codes[~wanted] == NODATA).all()
    assert (confidence[~wanted] == 0).all()


DTYPES = ["uint8", "int8", "uint16", "int16", "int32", "float32", "float64"]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    bands=st.integers(1, 14),
    bins=st.sampled_from([2, 16, 64, 1024]),
    dtype=st.sampled_from(DTYPES),
    depth=st.sampled_from([None, 2]),
    share=st.sampled_from([0.0, 0.4, 1.0]),
)
def test_every_wanted_pixel_gets_the_model_s_own_answer(seed, bands, bins, dtype, depth, share):
    random = np.random.default_rng(seed)
    model = train(random, bands, dtype, bins, depth=depth)
    # Over all that the type can hold, so that most values lie outside the training data.
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo("float16")
    wild = random.uniform(limits.min, limits.max, (bands, 20, 15))
    usual = random.lognormal(5, 1, (bands, 20, 15))
    values = np.where(random.random((20, 15)) < 0.5, wild, usual).astype(dtype)
    wanted = random.random((20, 15)) < share

    predictor = fastest(model)
    for _ in range(2):
        assert_equal(predictor.predict(values, wanted), model, values, wanted)


def test_more_pixels_than_fit_a_chunk_are_all_answered():
    random = np.random.default_rng(1)
    model = train(random, 3, "uint16")
    values = random.integers(0, 2000, (3, 2 * CHUNK + 77)).astype("uint16")
    codes, _ = Lookup(model).predict(values, np.ones(values.shape[1], dtype=bool))
    assert np.array_equal(codes, model.predict(values.T))


def test_a_part_of_a_larger_image_is_answered_like_any_other():
    random = np.random.default_rng(2)
    model = train(random, 2, "uint16")
    part = random.integers(0, 2000, (4, 60, 60)).astype("uint16")[1:3, 5:40, 7:50]
    codes, _ = Lookup(model).predict(part, np.ones(part.shape[1:], dtype=bool))
    assert np.array_equal(codes.ravel(), model.predict(part.reshape(2, -1).T))


def test_steps_between_the_bins_and_the_forest_are_heeded():
    random = np.random.default_rng(3)
    indices = FunctionTransformer(with_normalized_differences)
    model = train(random, 2, "uint16", between=[("indices", indices)])
    values = random.integers(1, 2000, (2, 500)).astype("uint16")
    codes, _ = fastest(model).predict(values, np.ones(500, dtype=bool))
    assert np.array_equal(codes, model.predict(values.T))


@pytest.mark.parametrize("bands", [4, 8])
def test_threads_may_share_a_table(bands):
    random = np.random.default_rng(4)
    model = train(random, bands, "uint16", 64)
    # Enough cells that the table grows while others read it.
    values = random.integers(0, 1500, (bands, 3 * FIRST_SLOTS)).astype("uint16")
    expected = model.predict(values.T)
    predictor = fastest(model)

    def predict(seed):
        some = np.random.default_rng(seed).permutation(values.shape[1])[: FIRST_SLOTS // 2]
        codes, _ = predictor.predict(values[:, some], np.ones(some.size, dtype=bool))
        return np.array_equal(codes, expected[some])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(predict, range(48)))


def test_a_cell_is_worked_out_once_and_only_when_a_wanted_pixel_meets_it():
    model = train(np.random.default_rng(5), 2, "uint16")
    table = Table()
    predictor = Lookup(model, table)
    values = np.array([[100, 100, 5000]] * 2, dtype="uint16")
    predictor.predict(values, np.array([True, True, False]))
    assert len(table) == 1
    predictor.predict(values, np.array([True, True, False]))
    assert len(table) == 1
    predictor.predict(values, np.array([False, False, True]))
    assert len(table) == 2


@pytest.mark.parametrize(
    ("bands", "bins", "kind"),
    [(4, 64, Lookup), (10, 64, Lookup), (6, 1024, Lookup), (11, 64, Direct), (7, 1024, Direct)],
)
def test_a_table_serves_as_many_cells_as_a_key_can_tell_apart(bands, bins, kind):
    model = train(np.random.default_rng(6), bands, "uint16", bins)
    assert type(fastest(model)) is kind


def test_the_outermost_of_as_many_cells_as_can_be_have_entries_of_their_own():
    """63 binary bands and one more make 2**64 cells, one more than there are keys."""
    random = np.random.default_rng(12)
    values = random.integers(0, 2, (63, 40, 1)).astype("uint8")
    values[:, 0], values[:, 1] = 0, 1
    model = Pipeline([("bins", LogBins(2)), ("forest", RandomForestClassifier(9, random_state=0))])
    model.fit(values[:, :, 0].T, random.integers(0, 2, 40))
    wanted = np.ones((40, 1), dtype=bool)
    predictor = fastest(model)
    assert isinstance(predictor, Lookup)
    for _ in range(2):
        assert_equal(predictor.predict(values, wanted), model, values, wanted)
    wider = train(random, 64, "uint8", 2)
    assert isinstance(fastest(wider), Direct)


def test_a_full_table_keeps_no_more_cells_and_answers_all_the_same():
    random = np.random.default_rng(9)
    model = train(random, 6, "uint16")
    table = Table(memory=64 * FIRST_SLOTS)
    predictor = Lookup(model, table)
    values = random.integers(0, 2000, (6, 8 * FIRST_SLOTS, 1)).astype("uint16")
    wanted = np.ones(values.shape[1:], dtype=bool)
    for _ in range(2):
        assert_equal(predictor.predict(values, wanted), model, values, wanted)
    assert FIRST_SLOTS < len(table) < 8 * FIRST_SLOTS
    assert table.nbytes <= 64 * FIRST_SLOTS


@pytest.mark.parametrize("with_bins", [True, False])
def test_without_a_table_the_model_itself_answers(with_bins):
    random = np.random.default_rng(7)
    model = train(random, 7, "uint16", 1024)
    if not with_bins:
        model = Pipeline(model.steps[1:])
    values = random.integers(0, 2000, (7, 10, 10)).astype("uint16")
    wanted = random.random((10, 10)) < 0.5
    codes, confidence = fastest(model).predict(values, wanted)
    assert np.array_equal(codes[wanted], model.predict(values[:, wanted].T))
    assert (codes[~wanted] == NODATA).all()
    assert (confidence[wanted] > 0).all()


@pytest.mark.parametrize("bands", [4, 8])
def test_what_lies_between_takes_no_more_memory_than_the_results(bands):
    random = np.random.default_rng(8)
    predictor = fastest(train(random, bands, "uint16", 64))
    few = random.integers(100, 400, (bands, 100)).astype("uint16")
    values = np.repeat(few, 40_000, axis=1)
    wanted = np.ones(values.shape[1], dtype=bool)
    predictor.predict(values, wanted)
    tracemalloc.start()
    predictor.predict(values, wanted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * wanted.size + 40 * CHUNK


@pytest.mark.parametrize("indices", [False, True])
def test_asking_takes_no_more_memory_than_is_said(indices):
    random = np.random.default_rng(10)
    between = [("indices", FunctionTransformer(with_normalized_differences))] if indices else []
    model = train(random, 10, "uint16", 64, depth=1, trees=1, between=between)
    values = random.integers(0, 2000, (10, 2 * BATCH)).astype("uint16")
    wanted = np.ones(values.shape[1], dtype=bool)
    predictor = Lookup(model, Table(memory=2**20))
    predictor.predict(values[:, :1], wanted[:1])
    tracemalloc.start()
    predictor.predict(values, wanted)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * wanted.size + predictor.memory(threads=1)


def test_what_is_said_counts_the_table_once_and_each_thread():
    model = train(np.random.default_rng(11), 4, "uint16", 64)
    predictor = Lookup(model, Table(memory=2**20))
    one, two, three = (predictor.memory(threads) - 2**20 for threads in (1, 2, 3))
    assert one > BATCH
    assert (two, three) == (2 * one, 3 * one)
