"""terraseg: overhead imagery and labels to a trained model, a class raster, clean polygons and honest areas.

    import terraseg as ts

    data = ts.prepare_data("terraseg.toml")
    unet = ts.UNet(data, backbone="resnet34")
    unet.fit(epochs=20)

The names below load their room on first use, so `import terraseg` costs nothing and needs no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = ["Data", "UNet", "map_project", "measure", "predict", "prepare_data", "vectorize"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"terraseg has no {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module("terraseg.api"), name)
