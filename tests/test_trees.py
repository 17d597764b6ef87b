"""The compiled forest says what scikit-learn says, to the last bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

from landcover.maps.trees import PackedForest, compile_forest
from landcover.model.forest import ForestSettings, new_pipeline

SAMPLES = 120


def samples(random, bands, classes, dtype):
    """Return values of classes that overlap, and the classes' codes."""
    codes = random.integers(0, classes, SAMPLES) * 7
    return (random.lognormal(5, 0.6, (SAMPLES, bands)) + codes[:, np.newaxis]).astype(dtype), codes


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    bands=st.integers(1, 6),
    classes=st.integers(1, 5),
    dtype=st.sampled_from(["uint8", "int16", "uint16", "float32", "float64"]),
    chosen=st.builds(
        ForestSettings,
        bins=st.sampled_from([None, 2, 64]),
        indices=st.booleans(),
        trees=st.integers(1, 12),
        max_depth=st.sampled_from([None, 1, 3]),
        min_samples_leaf=st.sampled_from([1, 2, 9, SAMPLES]),
        max_features=st.sampled_from(["sqrt", "log2", "all"]),
        class_weight=st.sampled_from(["none", "balanced"]),
    ),
    asked=st.integers(1, 40),
)
def test_probabilities_are_equal_to_the_last_bit(seed, bands, classes, dtype, chosen, asked):
    random = np.random.default_rng(seed)
    values, codes = samples(random, bands, classes, dtype)
    model = new_pipeline(chosen, jobs=1).set_params(forest__oob_score=False).fit(values, codes)
    forest = compile_forest(model["forest"])
    assert isinstance(forest, PackedForest)
    wild = (random.standard_normal((asked, bands)) * 1000).clip(0, 255).astype(dtype)
    features = np.concatenate([values[:asked], wild])
    if len(model) > 1:
        features = model[:-1].transform(features)
    np.testing.assert_array_equal(
        forest.predict_proba(features), model["forest"].predict_proba(features), strict=True
    )
    np.testing.assert_array_equal(forest.classes_, model.classes_)


def test_values_beside_a_threshold_fall_on_their_side():
    """Thresholds have double precision, what they are compared with has single."""
    random = np.random.default_rng(1)
    values, codes = samples(random, 3, 4, "float32")
    forest = RandomForestClassifier(5, random_state=0).fit(values, codes)
    near = []
    for tree in forest.estimators_:
        cuts = tree.tree_.threshold[tree.tree_.feature >= 0].astype(np.float32)
        near += [cuts, np.nextafter(cuts, np.float32(0)), np.nextafter(cuts, np.float32(np.inf))]
    features = np.repeat(np.concatenate(near)[:, np.newaxis], 3, axis=1)
    np.testing.assert_array_equal(
        compile_forest(forest).predict_proba(features), forest.predict_proba(features)
    )


def test_missing_values_go_where_the_forest_learned():
    random = np.random.default_rng(2)
    values, codes = samples(random, 3, 4, "float64")
    values[random.random(values.shape) < 0.1] = np.nan
    forest = RandomForestClassifier(5, random_state=0).fit(values, codes)
    packed = compile_forest(forest)
    known = np.nan_to_num(values, nan=100)
    np.testing.assert_array_equal(packed.predict_proba(values), forest.predict_proba(values))
    np.testing.assert_array_equal(packed.predict_proba(known), forest.predict_proba(known))


@pytest.mark.parametrize(
    "wrong",
    [np.ones((2, 4)), np.full((2, 3), np.inf), np.full((2, 3), 1e300)],
    ids=["another band", "infinity", "beyond single precision"],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_what_scikit_learn_refuses_is_refused(wrong):
    values, codes = samples(np.random.default_rng(3), 3, 2, "uint16")
    packed = compile_forest(RandomForestClassifier(2, random_state=0).fit(values, codes))
    with pytest.raises(ValueError, match=r"features|infinity"):
        packed.predict_proba(wrong)


def test_another_estimator_is_asked_as_it_is():
    values, codes = samples(np.random.default_rng(4), 3, 2, "uint16")
    other = ExtraTreesClassifier(2).fit(values, codes)
    assert compile_forest(other) is other
    several = RandomForestClassifier(2).fit(values, np.stack([codes, codes], axis=1))
    assert compile_forest(several) is several
