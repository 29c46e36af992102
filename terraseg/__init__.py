"""terraseg: overhead imagery and labels to a trained model, a class raster, clean polygons and honest areas.

The names below load their room on first use, so `import terraseg` costs nothing and needs no torch.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
