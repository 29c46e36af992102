"""What a model's description must say."""

from typing import Any

import pytest

from terraseg.core.modelspec import ModelSpec
from terraseg.errors import BrokenBundle
from tests.makers import make_spec


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_description_survives_json(dtype: str) -> None:
    spec = make_spec(dtype=dtype)
    assert ModelSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("dtype", ["{}", "complex64", "U8", "", None, ["uint8"]])
def test_pixels_of_no_known_type_are_refused(dtype: Any) -> None:
    with pytest.raises(BrokenBundle):
        ModelSpec.from_json(make_spec().to_json() | {"dtype": dtype})
