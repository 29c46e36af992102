"""Several models as one graph: every member sees the image, and their probabilities are averaged."""

from collections.abc import Sequence

from onnx import ModelProto, compose

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BrokenBundle
from terraseg.graphs.model import OPSET, OUTPUT, TREES, TREES_OPSET, finished_model
from terraseg.graphs.sketch import Sketch

SETS = {"": OPSET, TREES: TREES_OPSET}
"""The operator sets, by domain, in which every member is written."""


def averaged(members: Sequence[ModelProto], shares: Sequence[float], spec: ModelSpec) -> bytes:
    """The content of `model.onnx` of an ensemble: the members' probabilities, weighted by shares that sum to 1.

    Each member takes `image` and gives `probabilities`, as all of terraseg's models do; the members are left as they are.
    Raises `BrokenBundle` for a member in other operator sets than this terraseg writes.
    """
    sketch = Sketch()
    weighted = []
    for number, (member, share) in enumerate(zip(members, shares, strict=True)):
        _refuse_foreign(member)
        result = _take_in(sketch, member, f"member_{number}_")
        weighted.append(sketch.add("Mul", result, sketch.constant(share)))
    return finished_model(sketch, sketch.add("Sum", *weighted), spec)


def _take_in(sketch: Sketch, member: ModelProto, prefix: str) -> str:
    """Adds a member's nodes and weights under names of their own; gives the name of its result."""
    graph = compose.add_prefix(member, prefix, rename_inputs=False).graph
    sketch.nodes.extend(graph.node)
    sketch.constants.update({tensor.name: tensor for tensor in graph.initializer})
    return f"{prefix}{OUTPUT}"


def _refuse_foreign(member: ModelProto) -> None:
    versions = {each.domain: each.version for each in member.opset_import}
    used = {node.domain for node in member.graph.node}
    for domain in sorted(used):
        if versions.get(domain) != SETS.get(domain):
            name = domain or "ONNX"
            raise BrokenBundle(
                f"the graph of the member {member.graph.name!r} uses {name} operators of version {versions.get(domain)}, and "
                f"ensembles are written in {SETS.get(domain, 'none of them')}: train or export that model again"
            )
