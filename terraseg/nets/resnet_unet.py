"""The U-Net on a ResNet of deepsense.ai's building segmentation."""

import torch
from torch import Tensor, nn

from terraseg.nets.encoders import EncoderOptions, build_encoder
from terraseg.nets.padding import crop_to, image_size, pad_to_stride

RESNET_STRIDE = 64
RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")


class ResNetUNet(nn.Module):
    """`unet-resnet`: conv1 to conv5 of a ResNet, pooled once more, and six decoder blocks back; stride 64.

    The encoder's stem is pooled by 2x2 as in the source, not by ResNet's overlapping 3x3; its parameters keep timm's names
    under `encoder.`, so ImageNet weights fit as they are.
    """

    def __init__(self, bands: int, classes: int, encoder: EncoderOptions) -> None:
        super().__init__()
        built = build_encoder(encoder, bands=bands)
        self.encoder = built.module
        self.encoder["maxpool"] = nn.MaxPool2d(2)  # type: ignore[operator]  # timm's feature network is a ModuleDict
        conv2, conv3, conv4, conv5 = (found.channels for found in built.shape.maps[1:])
        self.pool = nn.MaxPool2d(2)
        self.center = _decoder_block(conv5, 512, 256)
        self.dec5 = _decoder_block(conv5 + 256, 512, 256)
        self.dec4 = _decoder_block(conv4 + 256, 512, 256)
        self.dec3 = _decoder_block(conv3 + 256, 256, 64)
        self.dec2 = _decoder_block(conv2 + 64, 128, 128)
        self.dec1 = _decoder_block(128, 128, 32)
        self.dec0 = nn.Sequential(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU())
        self.final = nn.Conv2d(32, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes, h, w) of normalised images (n, bands, h, w)."""
        _, conv2, conv3, conv4, conv5 = self.encoder(pad_to_stride(images, RESNET_STRIDE))
        x = self.center(self.pool(conv5))
        for decode, skip in ((self.dec5, conv5), (self.dec4, conv4), (self.dec3, conv3), (self.dec2, conv2)):
            x = decode(torch.cat([x, skip], 1))
        return crop_to(self.final(self.dec0(self.dec1(x))), image_size(images))


def _decoder_block(inputs: int, middle: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, middle, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(middle, outputs, 4, stride=2, padding=1),
        nn.ReLU(),
    )
