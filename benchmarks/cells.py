"""Filling the table: the model asked for the cells met, or every leaf painted as a box of cells.

A leaf of a tree is a box of cells, so that the whole table can be had without asking the model: for
each leaf, its vote is added to all cells of its box. That takes the same time whatever the imagery
holds; asking takes time for each cell that is met.
"""

import time

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier

from benchmarks.report import Figure
from landcover.maps.lookup import Lookup

# Trees that are painted; the time for all is worked out from theirs.
PAINTED = 4

MET = 50_000  # cells, as in four quads of the demo's landscape


def measure(model: Pipeline) -> list[Figure]:
    """Measure both ways of filling the table of a model on four bands."""
    table = Lookup(model)
    random = np.random.default_rng(0)
    bands, bins = model["bins"].levels_.shape
    numbers = random.integers(0, bins, (bands, MET))
    values = np.stack([model["bins"].levels_[band][numbers[band]] for band in range(bands)])
    started = time.perf_counter()
    table.predict(values, np.ones(MET, dtype=bool))
    asking = time.perf_counter() - started

    forest = model["forest"]
    votes = np.zeros((len(forest.classes_), *(bins,) * bands), dtype=np.float32)
    started = time.perf_counter()
    for tree in forest.estimators_[:PAINTED]:
        paint(tree, model["bins"].levels_, votes)
    painting = (time.perf_counter() - started) / PAINTED * len(forest.estimators_)
    return [
        Figure("painting all leaves against asking for 50 000 cells", f"{painting / asking:.0f}"),
        Figure(
            "cells that could be asked for meanwhile, million",
            f"{painting / asking * MET / 1e6:.1f}",
        ),
    ]


def paint(tree: DecisionTreeClassifier, levels: np.ndarray, votes: np.ndarray) -> None:
    """Add a tree's votes to all cells, leaf by leaf.

    Args:
        tree: of the forest.
        levels: of each band, (bands, bins).
        votes: of each class for each cell; changed.
    """
    nodes = tree.tree_
    # The forest rounds what it is asked to 32 bits before it compares.
    rounded = levels.astype(np.float32)
    waiting = [(0, tuple(slice(0, levels.shape[1]) for _ in levels))]
    while waiting:
        node, box = waiting.pop()
        if nodes.children_left[node] < 0:
            shares = nodes.value[node][0]
            for number in np.flatnonzero(shares):
                votes[number][box] += shares[number]
            continue
        band = nodes.feature[node]
        cut = int(np.searchsorted(rounded[band], nodes.threshold[node], side="right"))
        cut = min(max(cut, box[band].start), box[band].stop)
        low, high = slice(box[band].start, cut), slice(cut, box[band].stop)
        for child, part in ((nodes.children_left, low), (nodes.children_right, high)):
            if part.stop > part.start:
                waiting.append((child[node], (*box[:band], part, *box[band + 1 :])))
