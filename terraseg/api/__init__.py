"""The notebook face: a few functions and one class, with the meanings that users of fast.ai and arcgis.learn expect."""

from terraseg.api.data import Data, prepare_data
from terraseg.api.files import map_project, measure, predict, vectorize
from terraseg.api.listing import available_backbones, networks
from terraseg.api.picture import Picture
from terraseg.api.table import Table
from terraseg.api.unet import UNet

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
