"""Any input size for a network that halves its input: pad to its stride inside, crop after."""

import torch
from torch import Tensor


def pad_to_stride(images: Tensor, stride: int) -> Tensor:
    """The images (n, c, h, w), mirrored below and to the right until both sizes are multiples of `stride`.

    The mirror repeats the last row and column, as numpy's "symmetric"; where an image is smaller than the padding, its
    first row or column fills the rest. The top left pixel stays in place, so that tiles keep their place on the
    network's lattice. It is written as a gather of computed indices: that holds for every size of an exported graph.
    """
    height, width = images.shape[-2:]
    rows, cols = _multiple(height, stride), _multiple(width, stride)
    if torch.onnx.is_in_onnx_export() or rows != height:
        images = images.index_select(-2, _mirrored(height, rows, images.device))
    if torch.onnx.is_in_onnx_export() or cols != width:
        images = images.index_select(-1, _mirrored(width, cols, images.device))
    return images


def _multiple(size: int, stride: int) -> int:
    """The next multiple of the stride; written so that an exporter sees that halving it leaves no rest."""
    return (size + stride - 1) // stride * stride


def _mirrored(size: int, padded: int, device: torch.device) -> Tensor:
    index = torch.arange(padded, device=device)
    return torch.minimum(index, 2 * size - 1 - index).clamp(min=0)


def crop_to(images: Tensor, size: tuple[int, int]) -> Tensor:
    """The top left `size` (height, width) of the images: the inverse of `pad_to_stride`."""
    height, width = size
    return images[..., :height, :width]


def image_size(images: Tensor) -> tuple[int, int]:
    """Height and width of images (n, c, h, w), to be given back to `crop_to`."""
    return images.shape[-2], images.shape[-1]
