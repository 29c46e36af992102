"""Which of a bundle's graphs an engine runs."""

from pathlib import Path

from terraseg.core.scorer import Precision
from terraseg.errors import BadOption
from terraseg.store.bundle import onnx_path
from terraseg.store.quantised import read_int8


def graph_path(bundle: Path, precision: Precision) -> Path:
    """The ONNX file of a bundle for a precision; `BadOption` for "int8" where the bundle has no graph in bytes."""
    if precision != "int8":
        return onnx_path(bundle)
    model = read_int8(bundle)
    if model is None:
        raise BadOption(
            f"{bundle} has no model in bytes that belongs to it: make one with `terraseg export {bundle} --int8 IMAGES`, which "
            "calibrates it on your imagery"
        )
    return model.path
