"""Pooling to a fixed grid and resizing, written so that they hold for every size of an exported graph."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GridMean(nn.Module):
    """The means of a map's cells: (n, c, h, w) to (n, c, cells, cells), equal to adaptive average pooling.

    Cell k covers rows floor(k h / cells) to ceil((k + 1) h / cells), so neighbours may overlap and no cell is empty. torch's
    own pooling exports for one size only; this is two products with matrices that are computed from the size.
    """

    def __init__(self, cells: int) -> None:
        super().__init__()
        self.cells = cells

    def forward(self, maps: Tensor) -> Tensor:
        """The means."""
        rows, cols = (_shares(size, self.cells, maps) for size in maps.shape[-2:])
        return torch.matmul(torch.matmul(rows, maps), cols.transpose(0, 1))


def _shares(size: int, cells: int, like: Tensor) -> Tensor:
    """(cells, size): how much each row counts in each cell."""
    cell = torch.arange(cells, device=like.device).unsqueeze(1)
    row = torch.arange(size, device=like.device).unsqueeze(0)
    start = torch.div(cell * size, cells, rounding_mode="floor")
    stop = torch.div((cell + 1) * size + cells - 1, cells, rounding_mode="floor")
    inside = torch.logical_and(row >= start, row < stop).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


class PooledBranch(nn.Module):
    """A branch of pyramid pooling: the layers of `pool` on a coarse grid, brought back to the map's size."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, maps: Tensor) -> Tensor:
        """The pooled maps at the size of the given ones."""
        return F.interpolate(self.pool(maps), size=maps.shape[-2:], mode="bilinear", align_corners=False)


def enlarge(maps: Tensor, factor: int) -> Tensor:
    """The maps (n, c, h, w) that many times larger, bilinear between the centres of pixels.

    Aligned at the centres, not at the corners: so a pixel's place on the ground does not depend on the tile it lies in.
    """
    return F.interpolate(maps, scale_factor=float(factor), mode="bilinear", align_corners=False) if factor > 1 else maps


def export_ready(module: nn.Module) -> nn.Module:
    """The module with `GridMean` in place of every adaptive average pooling to more than one cell."""
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            cells = child.output_size[0] if isinstance(child.output_size, tuple) else child.output_size
            if cells != 1:
                setattr(module, name, GridMean(int(cells or 1)))
        else:
            export_ready(child)
    return module
