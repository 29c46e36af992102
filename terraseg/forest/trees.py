"""A forest as plain arrays: what a bundle keeps of it, and what its graph is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terraseg.graphs.model import TREES
from terraseg.graphs.sketch import Sketch


@dataclass(frozen=True, eq=False)
class Trees:
    """Binary decision trees, one after another.

    Node arrays (nodes,): `feature` int32, -1 at a leaf; `threshold` float32; `low` and `high` int32, the numbers within
    the tree of the nodes where pixels go whose feature is at most the threshold, and the others. `starts` (trees + 1,)
    int64 tells where each tree's nodes begin; `votes` (leaves, classes) float32 holds the class probabilities of the
    leaves in the order of their nodes. A pixel's probabilities are the mean over the trees.
    """

    starts: NDArray[np.int64]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float32]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    votes: NDArray[np.float32]

    @property
    def count(self) -> int:
        """How many trees."""
        return len(self.starts) - 1

    @property
    def classes(self) -> int:
        """How many classes."""
        return int(self.votes.shape[1])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays by name, as a bundle keeps them."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> "Trees":
        """The inverse of `arrays`."""
        return Trees(**{f.name: arrays[f.name] for f in fields(Trees)})


def add_trees(sketch: Sketch, features: str, trees: Trees) -> str:
    """Class probabilities (n, classes, h, w) of features (n, features, h, w), as nodes of the sketch."""
    pixels = sketch.add("Transpose", features, perm=[0, 2, 3, 1])
    width = sketch.add("Shape", pixels, start=3)
    rows = sketch.add("Reshape", pixels, sketch.add("Concat", sketch.sizes(-1), width, axis=0))
    votes = sketch.add("TreeEnsembleRegressor", rows, domain=TREES, **tree_attributes(trees))
    image = sketch.add("Shape", pixels, end=3)
    shape = sketch.add("Concat", image, sketch.sizes(trees.classes), axis=0)
    return sketch.add("Transpose", sketch.add("Reshape", votes, shape), perm=[0, 3, 1, 2])


def tree_attributes(trees: Trees) -> dict[str, Any]:
    """The trees as the attributes of ONNX's TreeEnsembleRegressor."""
    sizes = np.diff(trees.starts)
    tree = np.repeat(np.arange(trees.count), sizes)
    node = np.arange(len(trees.feature)) - np.repeat(trees.starts[:-1], sizes)
    leaves = np.flatnonzero(trees.feature < 0)
    # Leaves name only the classes that they vote for: most of a forest's size is its votes.
    leaf, index = np.nonzero(trees.votes)
    voting = leaves[leaf]
    return {
        "aggregate_function": "SUM",
        "n_targets": trees.classes,
        "nodes_treeids": tree.tolist(),
        "nodes_nodeids": node.tolist(),
        "nodes_featureids": np.maximum(trees.feature, 0).tolist(),
        "nodes_modes": np.where(trees.feature < 0, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_values": trees.threshold.tolist(),
        "nodes_truenodeids": trees.low.tolist(),
        "nodes_falsenodeids": trees.high.tolist(),
        "target_treeids": tree[voting].tolist(),
        "target_nodeids": node[voting].tolist(),
        "target_ids": index.tolist(),
        "target_weights": (trees.votes[leaf, index] / trees.count).tolist(),
    }
