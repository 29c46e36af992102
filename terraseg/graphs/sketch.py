"""An ONNX graph in the making: nodes one after another, each named by its result."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import NodeProto, TensorProto, helper, numpy_helper


@dataclass(frozen=True, eq=False)
class Sketch:
    """The nodes and constants of a graph so far, in the order they were added.

    Names are numbered in that order, so that the same steps give the same graph, byte for byte.
    """

    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """The name of the one result of a new node."""
        (result,) = self.split(kind, *inputs, results=1, domain=domain, **attributes)
        return result

    def split(self, kind: str, *inputs: str, results: int, domain: str = "", **attributes: Any) -> tuple[str, ...]:
        """The names of the results of a new node that has several."""
        names = tuple(f"{kind.lower()}_{len(self.nodes)}{f'_{n}' if n else ''}" for n in range(results))
        self.nodes.append(helper.make_node(kind, list(inputs), list(names), domain=domain, **attributes))
        return names

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """The name of a constant; equal ones share a name."""
        array = np.asarray(values, dtype=dtype)
        tensor = numpy_helper.from_array(array)
        for name, known in self.constants.items():
            if (known.dims, known.data_type, known.raw_data) == (tensor.dims, tensor.data_type, tensor.raw_data):
                return name
        tensor.name = f"constant_{len(self.constants)}"
        self.constants[tensor.name] = tensor
        return tensor.name

    def sizes(self, *values: int) -> str:
        """The name of a constant of whole numbers, as shapes, axes and paddings are given."""
        return self.constant(values, np.int64)
