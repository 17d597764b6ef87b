"""Metrics as JSON: the keys that other software reads, and rows that earlier versions wrote."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from landcover.model.metrics import (
    ClassMetrics,
    Estimate,
    Holdout,
    Metrics,
    Overall,
    Suspect,
    describe_metrics,
)

SHARES = st.floats(0, 1)
COUNTS = st.integers(0, 10**9)
ESTIMATES = st.builds(Estimate, st.none() | SHARES, st.none() | SHARES)
NAMES = st.text(min_size=1, max_size=9)
HOLDOUTS = st.one_of(
    st.just(Holdout("polygons")),
    st.builds(Holdout, st.just("blocks"), st.floats(0, exclude_min=True, allow_infinity=False)),
)
SUSPECTS = st.builds(
    Suspect, NAMES | COUNTS, NAMES, COUNTS, COUNTS, NAMES, SHARES, SHARES, SHARES, SHARES
)
METRICS = st.builds(
    Metrics,
    accuracy=ESTIMATES,
    macro_f1=ESTIMATES,
    folds=COUNTS,
    not_validated=st.lists(NAMES).map(tuple),
    classes=st.dictionaries(
        NAMES, st.builds(ClassMetrics, ESTIMATES, ESTIMATES, ESTIMATES, COUNTS, COUNTS), max_size=4
    ),
    confusion_matrix=st.dictionaries(NAMES, st.dictionaries(NAMES, COUNTS, max_size=4), max_size=4),
    holdout=st.none() | HOLDOUTS,
    random_pixels=st.none() | st.builds(Overall, ESTIMATES, ESTIMATES, COUNTS),
    optimism=st.none() | SHARES,
    oob_accuracy=st.none() | SHARES,
    suspected_mislabels=st.lists(SUSPECTS, max_size=3).map(tuple),
    tuning=st.lists(st.dictionaries(NAMES, st.none() | SHARES | NAMES), max_size=3).map(tuple),
)

# A row of the version before `holdout` and `block_size`, with a search.
EARLIER = {
    "accuracy": 0.8611,
    "accuracy_se": 0.0619,
    "macro_f1": 0.8538,
    "macro_f1_se": 0.0816,
    "folds": 5,
    "not_validated": ["Haze"],
    "classes": {
        "Forest": {
            "precision": 0.7,
            "precision_se": 0.1667,
            "recall": 0.7778,
            "recall_se": 0.1111,
            "f1": 0.7368,
            "f1_se": None,
            "pixels": 36,
            "polygons": 3,
        },
        "Haze": {
            "precision": None,
            "precision_se": None,
            "recall": None,
            "recall_se": None,
            "f1": None,
            "f1_se": None,
            "pixels": 12,
            "polygons": 1,
        },
    },
    "confusion_matrix": {"Forest": {"Forest": 28, "Haze": 8}, "Haze": {"Forest": 0, "Haze": 0}},
    "validation": "whole blocks of 10000 held out",
    "random_pixels": {
        "accuracy": 0.9,
        "accuracy_se": 0.01,
        "macro_f1": 0.89,
        "macro_f1_se": 0.02,
        "folds": 2,
    },
    "optimism": 0.0389,
    "oob_accuracy": 0.91,
    "suspected_mislabels": [
        {
            "polygon_id": "17",
            "class_label": "Forest",
            "pixels": 12,
            "fold": 3,
            "predicted_label": "Haze",
            "predicted_share": 0.75,
            "agreement": 0.25,
            "confidence": 0.6,
            "true_confidence": 0.3,
        }
    ],
    "tuning": [{"rank": 1, "macro_f1": 0.85, "given": True, "max_depth": None}],
}

# A row of the first version.
FIRST = {
    "accuracy": 0.8,
    "macro_f1": 0.7,
    "validation": "whole polygons held out",
    "folds": 5,
    "not_validated": [],
    "classes": {
        "Forest": {"precision": 0.7, "recall": 0.8, "f1": 0.75, "pixels": 36, "polygons": 3}
    },
    "confusion_matrix": {"Forest": {"Forest": 36}},
}


@given(METRICS)
def test_metrics_come_back_from_json_as_they_were(metrics: Metrics) -> None:
    assert Metrics.from_json(json.loads(json.dumps(metrics.to_json()))) == metrics


def test_json_has_the_keys_and_values_that_other_software_reads_and_what_was_held_out() -> None:
    found = Metrics.from_json(EARLIER).to_json()
    assert found == {**EARLIER, "holdout": "blocks", "block_size": 10_000}
    assert list(found["classes"]) == list(EARLIER["classes"])
    without_search = {key: value for key, value in EARLIER.items() if key != "tuning"}
    assert "tuning" not in Metrics.from_json(without_search).to_json()


@pytest.mark.parametrize(
    ("sentence", "holdout"),
    [
        ("whole polygons held out", Holdout("polygons")),
        ("whole blocks of 10000 held out", Holdout("blocks", 10_000)),
        ("whole blocks of 0.05 held out", Holdout("blocks", 0.05)),
        ("whole blocks of 1e+06 held out", Holdout("blocks", 1e6)),
        ("something else", None),
        (None, None),
    ],
)
def test_what_earlier_versions_held_out_is_read_from_their_sentence(
    sentence: str | None, holdout: Holdout | None
) -> None:
    found = Metrics.from_json({**FIRST, "validation": sentence})
    assert found.holdout == holdout
    if holdout:
        assert found.to_json()["validation"] == sentence


def test_a_row_of_the_first_version_is_read() -> None:
    found = Metrics.from_json(FIRST)
    assert (found.accuracy, found.macro_f1) == (Estimate(0.8), Estimate(0.7))
    assert (found.random_pixels, found.optimism, found.oob_accuracy) == (None, None, None)
    assert found.suspected_mislabels == ()
    text = describe_metrics(found)
    assert text.startswith("accuracy 0.800 (whole polygons held out, 5 folds")
    assert "optimism" not in text
    assert "out-of-bag" not in text
