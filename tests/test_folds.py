"""Folds: what is held out together, and what trains meanwhile."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landcover.errors import SettingsError
from landcover.model.balance import at_most_per_class
from landcover.model.folds import (
    block_folds,
    blocks_of,
    pixel_folds,
    polygon_folds,
    validation_folds,
)
from landcover.model.forest import ForestSettings
from landcover.model.ground import ground_of


@st.composite
def labelled(draw: st.DrawFn) -> tuple[pd.Series, pd.Series]:
    """Draw samples: the polygon id and the class code of each, in any order."""
    counts = draw(st.lists(st.integers(1, 9), min_size=2, max_size=5))
    codes = {f"{code}-{i}": 3 * code for code, count in enumerate(counts) for i in range(count)}
    sizes = [draw(st.integers(1, 4)) for _ in codes]
    ids = [name for name, size in zip(codes, sizes, strict=True) for _ in range(size)]
    polygons = pd.Series(draw(st.permutations(ids)))
    return polygons, polygons.map(codes)


# --- polygons -------------------------------------------------------------------------------------


@given(samples=labelled(), folds=st.integers(2, 8), seed=st.integers(0, 99))
def test_folds_hold_whole_polygons_out_once_and_never_a_whole_class(
    samples: tuple[pd.Series, pd.Series], folds: int, seed: int
) -> None:
    polygons, codes = samples
    number = polygons.groupby(codes).nunique()
    validated = codes.map(number) > 1
    held_out: list[int] = []
    dealt = polygon_folds(polygons, codes, folds, seed)
    assert len(dealt) <= folds
    for train, test in dealt:
        assert set(train) | set(test) == set(range(len(polygons)))
        assert not set(train) & set(test)
        assert not set(polygons[train]) & set(polygons[test])
        assert set(codes[test]) <= set(codes[train])
        held_out.extend(test)
    assert sorted(held_out) == np.flatnonzero(validated).tolist()


@given(samples=labelled(), folds=st.integers(2, 8))
def test_folds_deal_the_polygons_of_each_class_evenly(
    samples: tuple[pd.Series, pd.Series], folds: int
) -> None:
    polygons, codes = samples
    dealt = [test for _, test in polygon_folds(polygons, codes, folds, seed=0)]
    for code, count in polygons.groupby(codes).nunique().items():
        shares = [polygons[test][codes[test] == code].nunique() for test in dealt]
        if count > 1:
            assert sum(shares) == count
            assert max(shares) - min(shares) <= 1


def test_the_same_seed_deals_the_same_folds_and_another_seed_others() -> None:
    polygons = pd.Series([f"p{number}" for number in range(40)])
    codes = pd.Series([0, 1] * 20)
    first, again, other = (
        [test.tolist() for _, test in polygon_folds(polygons, codes, 5, seed)] for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


# --- blocks ---------------------------------------------------------------------------------------


@given(samples=labelled(), data=st.data(), folds=st.integers(2, 8), seed=st.integers(0, 99))
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_nothing_of_a_held_out_block_trains_and_every_block_is_held_out_once(
    samples: tuple[pd.Series, pd.Series], data: st.DataObject, folds: int, seed: int
) -> None:
    polygons, codes = samples
    block = {name: data.draw(st.integers(0, 6)) for name in sorted(set(polygons))}
    blocks = polygons.map(block)
    everything = set(range(len(codes)))
    away: list[int] = []
    dealt = block_folds(polygons, blocks, codes, folds, seed)
    assert len(dealt) <= folds
    for train, test in dealt:
        not_trained = sorted(everything - set(train))
        assert not set(blocks[train]) & set(blocks[not_trained])
        # All that a model can be asked is asked of it.
        known = codes[not_trained].isin(set(codes[train]))
        assert test.tolist() == codes[not_trained].index[known].tolist()
        away.extend(not_trained)
    assert len(away) == len(set(away))


def test_a_class_in_one_block_is_away_with_it_and_not_predicted() -> None:
    polygons = pd.Series(list("abcdef"))
    codes = pd.Series([0, 0, 0, 1, 1, 4])
    blocks = pd.Series(["west", "west", "east", "west", "east", "east"])
    dealt = {
        tuple(train): tuple(test) for train, test in block_folds(polygons, blocks, codes, 5, 0)
    }
    # Class 4 is polygon f alone: without the east it is unknown to the model.
    assert dealt == {(0, 1, 3): (2, 4), (2, 4, 5): (0, 1, 3)}


PLACES = pd.DataFrame(
    [
        ("a", 10.0, 10.0),
        ("a", 30.0, 20.0),
        ("across", 90.0, 10.0),
        ("across", 98.0, 10.0),
        ("across", 103.0, 10.0),
        ("next", 101.0, 10.0),
        ("negative", -1.0, 199.0),
    ],
    columns=["polygon_id", "x", "y"],
)


def test_polygons_go_to_the_block_that_holds_the_middle_of_their_samples() -> None:
    blocks = blocks_of(PLACES, PLACES["polygon_id"], 100)
    assert blocks.tolist() == ["0 0"] * 5 + ["1 0", "-1 1"]


def test_polygons_on_one_ground_go_to_one_block() -> None:
    grounds = ground_of(PLACES["polygon_id"], (("across", "next"),))
    assert blocks_of(PLACES, grounds, 100).tolist() == ["0 0"] * 6 + ["-1 1"]


def apart(codes: list[int], step: float = 100) -> tuple[pd.DataFrame, pd.Series]:
    """Return samples of polygons side by side, two of each."""
    rows = np.arange(len(codes)).repeat(2)
    samples = pd.DataFrame({"polygon_id": rows.astype(str), "x": step * rows, "y": 0.0})
    return samples, pd.Series(codes).loc[rows].reset_index(drop=True)


@pytest.mark.parametrize(
    ("size", "what"),
    [(10_000, "All training polygons lie"), (200, "The training polygons of each class lie")],
)
def test_blocks_too_large_to_hold_one_out_are_refused_with_how_far_the_polygons_reach(
    size: float, what: str
) -> None:
    samples, codes = apart([0, 0, 1, 1])
    settings = ForestSettings(holdout="blocks", block_size=size)
    with pytest.raises(SettingsError, match=rf"{what} in one block of {size:g}.*span 300,"):
        validation_folds(samples, codes, settings)


@pytest.mark.parametrize("size", [10, 10_000])
def test_where_no_block_is_small_enough_there_is_no_fold(size: float) -> None:
    """A smaller block would not help: each class has one polygon, or copies of it."""
    settings = ForestSettings(holdout="blocks", block_size=size)
    assert validation_folds(*apart([0, 1, 4]), settings) == []
    assert validation_folds(*apart([0, 1, 0]), settings, together=(("0", "2"),)) == []


# --- grounds --------------------------------------------------------------------------------------


@given(
    samples=labelled(),
    data=st.data(),
    folds=st.integers(2, 8),
    seed=st.integers(0, 99),
    holdout=st.sampled_from(["polygons", "blocks"]),
)
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_polygons_on_one_ground_are_held_out_together_whatever_their_classes(
    samples: tuple[pd.Series, pd.Series],
    data: st.DataObject,
    folds: int,
    seed: int,
    holdout: str,
) -> None:
    polygons, codes = samples
    ids = sorted(set(polygons))
    place = pd.Series({name: data.draw(st.integers(0, len(ids))) for name in ids})
    together = tuple(tuple(its.index) for _, its in place.groupby(place) if len(its) > 1)
    ground = polygons.map(place)
    rows = pd.DataFrame({"polygon_id": polygons, "x": 10.0 * ground, "y": 0.0})
    settings = ForestSettings(folds=folds, seed=seed, holdout=holdout, block_size=10)
    held_out: list[int] = []
    dealt = validation_folds(rows, codes, settings, together)
    for train, test in dealt:
        assert test.size
        assert not set(ground[train]) & set(ground[test])
        assert set(codes[test]) <= set(codes[train])
        held_out.extend(test)
    assert len(held_out) == len(set(held_out))
    two = codes.map(ground.groupby(codes).nunique()) > 1
    assert two.any() or not dealt
    assert two[held_out].all()


def test_a_ground_of_several_classes_stays_in_training_where_it_is_the_only_one_of_one() -> None:
    grounds = pd.Series(["lake", "lake", "b", "c", "d"])
    codes = pd.Series([0, 4, 0, 0, 0])
    held_out = {row for _, test in polygon_folds(grounds, codes, 5, 0) for row in test}
    assert held_out == {2, 3, 4}


def test_a_ground_of_two_classes_is_dealt_as_the_rarer_so_that_both_can_be_held_out() -> None:
    grounds = pd.Series(["a", "a", "b", "c", "d", "e", "f", "g"])
    codes = pd.Series([0, 4, 4, 0, 0, 0, 0, 0])
    for seed in range(20):
        held_out = [row for _, test in polygon_folds(grounds, codes, 2, seed) for row in test]
        assert sorted(held_out) == list(range(8))


# --- pixels ---------------------------------------------------------------------------------------


@given(samples=labelled(), folds=st.integers(2, 8), seed=st.integers(0, 99), data=st.data())
@pytest.mark.filterwarnings("error::UserWarning", "error::RuntimeWarning")
def test_random_folds_hold_out_each_of_the_given_pixels_once_where_its_class_stays_known(
    samples: tuple[pd.Series, pd.Series], folds: int, seed: int, data: st.DataObject
) -> None:
    _, codes = samples
    among = np.array(data.draw(st.lists(st.sampled_from(range(len(codes))), unique=True)), np.intp)
    counts = codes.value_counts()
    held_out: list[int] = []
    for train, test in pixel_folds(codes, among, folds, seed):
        assert not set(train) & set(test)
        assert set(codes[test]) <= set(codes[train])
        assert set(train) >= set(range(len(codes))) - set(among)
        held_out.extend(test)
    assert len(held_out) == len(set(held_out))
    assert set(held_out) <= set(among)
    assert all(counts[codes[row]] == 1 for row in set(among) - set(held_out))


def test_random_folds_train_on_other_pixels_of_the_same_polygons() -> None:
    polygons = pd.Series(np.repeat([f"p{number}" for number in range(10)], 20))
    codes = pd.Series(np.repeat([0, 1] * 5, 20))
    for train, test in pixel_folds(codes, np.arange(200), 5, seed=0):
        assert set(polygons[test]) <= set(polygons[train])
        assert (codes[test] == 0).sum() == (codes[test] == 1).sum() == 20


def test_folds_that_hold_out_no_pixel_are_left_out() -> None:
    """Of 53 pixels of one polygon and two of two others, only these two are held out."""
    codes = pd.Series([0] * 53 + [1, 1])
    folds = pixel_folds(codes, np.array([53, 54]), 5, seed=42)
    assert sorted(test.tolist() for _, test in folds) == [[53], [54]]


# --- balance --------------------------------------------------------------------------------------


@given(
    codes=st.lists(st.sampled_from([0, 3, 9]), min_size=1),
    most=st.integers(1, 8),
    seed=st.integers(0, 99),
)
def test_no_class_has_more_than_the_cap_and_small_ones_are_whole(
    codes: list[int], most: int, seed: int
) -> None:
    given_codes = pd.Series(codes, index=[f"row {number}" for number in range(len(codes))])
    rows = at_most_per_class(given_codes, most, seed)
    assert rows.tolist() == sorted(set(rows))
    assert rows.tolist() == at_most_per_class(given_codes, most, seed).tolist()
    for code in set(codes):
        assert [codes[row] for row in rows].count(code) == min(codes.count(code), most)
    assert at_most_per_class(given_codes, None, seed).tolist() == list(range(len(codes)))


def test_every_sample_of_a_class_is_drawn_equally_often() -> None:
    codes = pd.Series([0] * 10 + [1] * 2)
    drawn = np.concatenate([at_most_per_class(codes, 5, seed) for seed in range(400)])
    # 200 times each expected, standard deviation 10.
    assert np.abs(np.bincount(drawn)[:10] - 200).max() < 45
    assert np.bincount(drawn)[10:].tolist() == [400, 400]


@pytest.mark.parametrize("holdout", ["polygons", "blocks"])
def test_the_cap_holds_for_what_trains_in_each_fold_and_not_for_what_is_held_out(
    holdout: str,
) -> None:
    number = np.arange(24).repeat(10)
    samples = pd.DataFrame({"polygon_id": number.astype(str), "x": 100.0 * number, "y": 0.0})
    codes = pd.Series((number % 3 == 0).astype(int))
    settings = ForestSettings(holdout=holdout, block_size=300)
    uncapped = validation_folds(samples, codes, settings)
    capped = validation_folds(
        samples, codes, settings.model_copy(update={"max_pixels_per_class": 40})
    )
    assert len(capped) == len(uncapped) == 5
    for (train, test), (all_train, all_test) in zip(capped, uncapped, strict=True):
        assert np.bincount(codes[train]).tolist() == [40, 40]
        assert set(train) <= set(all_train)
        assert test.tolist() == all_test.tolist()
    held_out = np.sort(np.concatenate([test for _, test in capped]))
    assert held_out.tolist() == list(range(240))
    if holdout == "blocks":
        # Three polygons, 100 apart, share a block of 300.
        assert all(set(number[test] // 3).isdisjoint(number[train] // 3) for train, test in capped)
