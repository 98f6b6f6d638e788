"""Errata in 003's convolutional networks: the U-Net (E12), FiLM and the sinusoidal time embedding (E21)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import erratum
from reproflow.claims.policy import Context, Measurement

ENCODER = "encoder widths"
BOTTLENECK = "bottleneck without time"
DECODER = "decoder widths"
RESOLUTION = "one resolution"
UNDEFINED = "block undefined"
IMAGE = 3
WIDTHS = (4, 8, 16)
EMBEDDING = 8


class Block(nn.Module):
    """The smallest block that fits the page's calls: a convolution, and a linear layer for t where it is given a width.

    003 calls such a block without defining it. (B, C, H, W), (B, E) -> (B, C', H/stride, W/stride).
    """

    def __init__(self, inside: int, outside: int, embedding: int | None = None, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inside, outside, 3, stride=stride, padding=1)
        self.time = None if embedding is None else nn.Linear(embedding, outside)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.convolution(x)
        return torch.tanh(h if self.time is None else h + self.time(embedding)[:, :, None, None])


class UNet(nn.Module):
    """Three levels with a running channel count; `fault` names the one thing that is as printed."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.downs, self.ups, running = nn.ModuleList(), nn.ModuleList(), IMAGE
        for level, width in enumerate(WIDTHS):
            stride = 1 if level == 0 or fault == RESOLUTION else 2
            self.downs.append(Block(IMAGE if fault == ENCODER else running, width, EMBEDDING, stride))
            running = width
        self.bottleneck = Block(running, running, None if fault == BOTTLENECK else EMBEDDING)
        for width in reversed(WIDTHS):
            self.ups.append(Block(2 * width if fault == DECODER else running + width, width, EMBEDDING))
            running = width
        self.out = nn.Conv2d(running, IMAGE, 1)

    def encode(self, x: Tensor, embedding: Tensor) -> list[Tensor]:
        """What each level hands to the decoder, from fine to coarse."""
        levels = []
        for down in self.downs:
            x = down(x, embedding)
            levels.append(x)
        return levels

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        skips = self.encode(x, embedding)
        x = self.bottleneck(skips[-1], embedding)
        for up in self.ups:
            skip = skips.pop()
            x = up(torch.cat([nn.functional.interpolate(x, skip.shape[-2:]), skip], 1), embedding)
        return self.out(x)


@erratum(
    "E12",
    title="003's U-Net: channel counts, time in the bottleneck, resolutions",
    source="003, U-Net Architecture",
    tolerance=0.0,
    controls=(ENCODER, BOTTLENECK, DECODER, RESOLUTION),
    textual={UNDEFINED: "the page calls ResnetBlock and does not define it; nothing to compute"},
)
def unet(form: str, context: Context) -> Measurement:
    """Every encoder block takes the image's channels, so the second one fails; a running channel count runs.

    Statement: a three-level encoder, bottleneck and decoder wired as on the page maps an image to a velocity of its
        shape, with time known at every level.
    Assumptions: none on the block, which the page does not define: ours is a convolution, with a linear layer for the
        time embedding where a width is given.
    Computed: an 8x8 image through a U-Net of widths 4, 8, 16, the number of defects that show, each built in alone:
        every encoder block takes the image's channels (RuntimeError); the decoder takes twice its own width, where it
        gets the running width and the skip's (RuntimeError); the bottleneck is given no width for the time
        embedding that it is called with (its output does not move with t); nothing changes the resolution, so that
        the bottleneck sees the full image and the "U" is flat.
    Source: 003, "U-Net Architecture".
    Refuted by: one defect that shows. Each defect alone in the corrected network is a control.
    """
    attempts: dict[str, defects.Attempt] = {
        ENCODER: lambda faulty: _runs(ENCODER if faulty else ""),
        BOTTLENECK: lambda faulty: _deaf(BOTTLENECK if faulty else ""),
        DECODER: lambda faulty: _runs(DECODER if faulty else ""),
        RESOLUTION: lambda faulty: _flat(RESOLUTION if faulty else ""),
    }
    return defects.count(attempts, form)


def _network(fault: str) -> tuple[UNet, Tensor, Tensor]:
    """A U-Net, two images (2, 3, 8, 8) and two time embeddings (2, E)."""
    image = defects.noise(2, IMAGE, 8, 8, purpose="E12 image")
    return defects.seeded(lambda: UNet(fault), "E12"), image, defects.noise(2, EMBEDDING, purpose="E12 time")


def _runs(fault: str) -> Measurement:
    network, image, embedding = _network(fault)
    return defects.raises(RuntimeError, lambda: network(image, embedding))


@torch.no_grad()
def _deaf(fault: str) -> Measurement:
    network, image, embedding = _network(fault)
    h = network.encode(image, embedding)[-1]
    moved = float((network.bottleneck(h, embedding) - network.bottleneck(h, -embedding)).abs().max())
    return Measurement(float(moved == 0), detail=f"its output moves by {moved:.2g} with the time embedding")


@torch.no_grad()
def _flat(fault: str) -> Measurement:
    network, image, embedding = _network(fault)
    size = network.encode(image, embedding)[-1].shape[-1]
    return Measurement(float(size == image.shape[-1]), detail=f"the bottleneck sees {size}x{size} of 8x8 pixels")


SHAPES = "FiLM shapes"
UNSCALED = "t not scaled"
SLOW = 0.1


@erratum(
    "E21",
    title="003's FiLM does not broadcast, and its sinusoid hardly moves on [0, 1]",
    source="003, Time Conditioning",
    tolerance=0.0,
    controls=(SHAPES, UNSCALED),
)
def time_conditioning(form: str, context: Context) -> Measurement:
    """x (1 + scale) + shift with scale (B, C) against x (B, C, H, W) fails; sin(t f) on [0, 1] wastes most features.

    Statement: FiLM modulates channels of images, and the time embedding tells the times in [0, 1] apart.
    Assumptions: frequencies f_k = 10000^(-k/31), k = 0..31, sine and cosine: 64 features.
    Computed: FiLM on 2 images of 4 channels of 3x5 pixels (RuntimeError), and on 3 images of 5 channels of 3x5
        pixels, where the shapes fit by accident: rows and columns of the image are modulated for samples and channels,
        and the output of sample 0 moves with the time of sample 1 (silent). The share of features that move by less
        than 0.1 over t in [0, 1], on 10001 times: a defect where it is more than half. Corrected: [:, :, None, None],
        and 1000 t, as for the discrete steps that the frequencies were made for.
    Source: 003, "Time Conditioning": FiLM, SinusoidalPosEmb.
    Refuted by: one defect that shows; each alone is a control.
    """
    return defects.count({SHAPES: _film_defect, UNSCALED: _sinusoid_defect}, form)


def film(x: Tensor, embedding: Tensor, faulty: bool) -> Tensor:
    """x (B, C, H, W) modulated by embedding (B, 2C) = (scale, shift)."""
    scale, shift = embedding.chunk(2, dim=-1)
    if not faulty:
        scale, shift = scale[:, :, None, None], shift[:, :, None, None]
    return x * (1 + scale) + shift


def _film_defect(faulty: bool) -> Measurement:
    x, embedding = defects.noise(2, 4, 3, 5, purpose="E21 image"), defects.noise(2, 8, purpose="E21 time")
    fails = defects.raises(RuntimeError, lambda: film(x, embedding, faulty))
    square, other = defects.noise(3, 5, 3, 5, purpose="E21 square"), defects.noise(3, 10, purpose="E21 other")
    moved = other.clone()
    moved[1] += 1
    leak = float((film(square, moved, faulty) - film(square, other, faulty))[0].abs().max())
    detail = f"{fails.detail}; of 3 images 3 high, 5 channels, 5 wide, sample 0 moves by {leak:.3g} with the time of 1"
    return Measurement(fails.statistic + leak, detail=detail)


def sinusoid(t: Tensor, dimension: int = 64) -> Tensor:
    """sin(t f_k) and cos(t f_k), f_k from 1 down to 1/10000: t (B,) -> (B, dimension)."""
    half = dimension // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, dtype=t.dtype) / (half - 1))
    angles = t[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)


def _sinusoid_defect(faulty: bool) -> Measurement:
    t = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    features = sinusoid(t if faulty else 1000 * t)
    slow = float(((features.amax(0) - features.amin(0)) < SLOW).double().mean())
    detail = f"{slow:.1%} of {features.shape[1]} features move by less than {SLOW} over t in [0, 1]"
    return Measurement(float(slow > 0.5), detail=detail)
