"""The trees of a random forest, packed so that a compiled loop asks them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.tree._tree import Tree

from landcover.maps.forest_kernels import ABREAST, NODE, add_votes


class Classifier(Protocol):
    """What gives samples the probabilities of classes, as scikit-learn's classifiers do."""

    classes_: NDArray[np.generic]

    def predict_proba(self, X: NDArray[np.generic]) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, (samples, classes)."""


def compile_forest(estimator: BaseEstimator) -> Classifier:
    """Return what gives the same probabilities as a fitted estimator, and faster if it can.

    Args:
        estimator: anything but a random forest of one output is returned as it is.
    """
    if type(estimator) is RandomForestClassifier and estimator.n_outputs_ == 1:
        return PackedForest(estimator)
    other: Classifier = estimator
    return other


class PackedForest:
    """A random forest whose trees are packed into a few arrays.

    Its probabilities are scikit-learn's to the last bit, as of one core: the shares of classes in
    the leaves are added in the order of the trees.
    """

    def __init__(self, forest: RandomForestClassifier) -> None:
        """Pack a fitted forest of one output."""
        self.classes_ = forest.classes_
        self._forest = forest
        trees = [tree.tree_ for tree in forest.estimators_]
        sizes = [tree.node_count for tree in trees]
        self._roots = (np.cumsum(sizes) - sizes).astype(np.uint32)
        self._nodes = np.concatenate(
            [_pack(tree, root) for tree, root in zip(trees, self._roots, strict=True)]
        )
        self._rows, self._shares = _leaves(trees)

    def predict_proba(self, X: NDArray[np.generic]) -> NDArray[np.float64]:  # noqa: N803
        """Return the probability of each class, (samples, classes).

        Args:
            X: what the forest was trained on, (samples, features).
        """
        # As scikit-learn does: trees compare single precision.
        values = np.asarray(X, dtype=np.float32)
        if values.shape[1:] != (self._forest.n_features_in_,) or not np.isfinite(values).all():
            # It refuses them, or knows what to do with missing values.
            answer: NDArray[np.float64] = self._forest.predict_proba(X)
            return answer
        # The last samples may have nobody to walk with.
        padded = np.zeros((len(values) + -len(values) % ABREAST, values.shape[1]), np.float32)
        padded[: len(values)] = values
        votes = np.zeros((len(padded), len(self.classes_)))
        add_votes(self._nodes, self._rows, self._roots, self._shares, padded, votes)
        votes /= len(self._roots)
        return votes[: len(values)]


def _pack(tree: Tree, root: int) -> NDArray[np.void]:
    """Return the nodes of a tree in their order, (nodes,) of type `NODE`.

    Args:
        tree: scikit-learn's.
        root: how many nodes stand before it.
    """
    place, leaf = _places(tree), tree.children_left < 0
    nodes = np.empty(tree.node_count, dtype=NODE)
    nodes["threshold"][place] = np.where(leaf, np.inf, _rounded_down(tree.threshold))
    nodes["feature"][place] = np.where(leaf, 0, tree.feature)
    nodes["first"][place] = root + np.where(leaf, place, place[tree.children_left])
    return nodes


def _places(tree: Tree) -> NDArray[np.intp]:
    """Return where each node of a tree is packed, so that the children of each are side by side."""
    inner = tree.children_left >= 0
    place = np.zeros(tree.node_count, dtype=np.intp)
    place[tree.children_left[inner]] = 1 + 2 * np.arange(np.count_nonzero(inner))
    place[tree.children_right[inner]] = 2 + 2 * np.arange(np.count_nonzero(inner))
    return place


def _leaves(trees: Sequence[Tree]) -> tuple[NDArray[np.uint32], NDArray[np.float64]]:
    """Return what the leaves of trees say.

    Returns:
        The row of each packed node's shares, of use where it is a leaf, (nodes,); and the shares of
        the classes, (rows, classes): first, for each class, those of leaves that hold it alone.
    """
    classes = trees[0].value.shape[2]
    rows, shares, count = [], [np.eye(classes)], classes
    for tree in trees:
        of_node = tree.value[:, 0]
        row = of_node.argmax(axis=1)
        mixed = (of_node.max(axis=1) != 1) | (np.count_nonzero(of_node, axis=1) != 1)
        mixed &= tree.children_left < 0
        row[mixed] = count + np.arange(np.count_nonzero(mixed))
        count += np.count_nonzero(mixed)
        shares.append(of_node[mixed])
        rows.append(row[np.argsort(_places(tree))])
    return np.concatenate(rows).astype(np.uint32), np.concatenate(shares)


def _rounded_down(thresholds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the highest number of single precision up to each threshold.

    Values of single precision are above the one where they are above the other.
    """
    rounded = thresholds.astype(np.float32)
    return np.where(rounded > thresholds, np.nextafter(rounded, np.float32(-np.inf)), rounded)
