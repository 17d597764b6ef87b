"""The loop that asks a forest, compiled by numba (see `landcover.maps.trees`)."""

import numpy as np
from numpy.typing import NDArray

from landcover.imagery.kernels import compiled

# A node of a tree. Its children stand side by side: that for values above the threshold is second.
# A leaf has an infinite threshold and itself as first child, so that who is there stays there.
NODE = np.dtype([("threshold", np.float32), ("feature", np.uint32), ("first", np.uint32)])

# Samples that walk down a tree side by side: while the nodes of some are fetched from memory,
# others are compared. `_step` names each, so that the compiler keeps them in registers.
ABREAST = 8

Nodes = tuple[np.uint32, ...]


@compiled
def add_votes(
    nodes: NDArray[np.void],
    rows: NDArray[np.uint32],
    roots: NDArray[np.uint32],
    shares: NDArray[np.float64],
    values: NDArray[np.float32],
    votes: NDArray[np.float64],
) -> None:
    """Add up what each tree says of samples, in the order of the trees.

    A tree is asked for all samples before the next one, so that it stays in the processor's cache.

    Args:
        nodes: of all trees, (nodes,) of type `NODE`.
        rows: the row of the shares of each leaf, (nodes,).
        roots: the number of each tree's first node, (trees,).
        shares: of each class in a leaf; in the first rows, one a class, of that class alone, (rows,
            classes).
        values: of the samples, as many as a multiple of `ABREAST`, (samples, features).
        votes: what is added to, (samples, classes).
    """
    classes = votes.shape[1]
    for root in roots:
        for start in range(0, values.shape[0], ABREAST):
            samples = values[start : start + ABREAST]
            before: Nodes = (root, root, root, root, root, root, root, root)
            at = _step(nodes, samples, before)
            while at != before:
                before = at
                at = _step(nodes, samples, before)
            for lane, leaf in enumerate(at):
                row = rows[leaf]
                if row < classes:
                    votes[start + lane, row] += 1
                else:
                    for number in range(classes):
                        votes[start + lane, number] += shares[row, number]


@compiled
def _step(nodes: NDArray[np.void], samples: NDArray[np.float32], at: Nodes) -> Nodes:
    """Return the nodes where samples (samples, features) go to from theirs."""
    return (
        _child(nodes, samples[0], at[0]),
        _child(nodes, samples[1], at[1]),
        _child(nodes, samples[2], at[2]),
        _child(nodes, samples[3], at[3]),
        _child(nodes, samples[4], at[4]),
        _child(nodes, samples[5], at[5]),
        _child(nodes, samples[6], at[6]),
        _child(nodes, samples[7], at[7]),
    )


@compiled
def _child(nodes: NDArray[np.void], sample: NDArray[np.float32], at: np.uint32) -> np.uint32:
    """Return the node where a sample (features,) goes to from a node."""
    node = nodes[at]
    child: np.uint32 = node.first + np.uint32(sample[node.feature] > node.threshold)
    return child
