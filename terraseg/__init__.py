"""terraseg: overhead imagery and labels to a trained model, a class raster, clean polygons and honest areas.

    import terraseg as ts

    data = ts.prepare_data("terraseg.toml")
    unet = ts.UNet(data, backbone="resnet34")
    unet.fit(epochs=20)

The names below load their room on first use, so `import terraseg` costs nothing and needs no torch.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

__version__ = "0.1.0"

__all__ = [
    "Data",
    "Picture",
    "Table",
    "UNet",
    "available_backbones",
    "map_project",
    "measure",
    "networks",
    "predict",
    "prepare_data",
    "vectorize",
]


class _Face(ModuleType):
    """The package as users see it: `terraseg.predict` is the function, though a room of that name exists.

    Importing the room would put it in the function's place; `from terraseg.predict.sweep import ...` needs no attribute.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"terraseg has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module("terraseg.api"), name)
