"""Training written once more, plainly: one network on digits, one step after another, in torch's own words.

What the package does for stacks of cells, in chunks of times, for any objective, is done here for three cells of one
setting with torch's modules, optimiser, schedules and scikit-learn's digits. Formulas are those of a textbook, for the
cosine path and logit-normal times. Only the names of the random streams and of the stored tensors are the package's.
`without` leaves one part out, or does it the wrong way: a comparison that does not notice is worth nothing.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.optim import lr_scheduler

STEPS, CHUNK, WARMUP = 28, 10, 5
BATCH, WIDTH, LR, DECAY, EMA = 16, 16, 3e-3, 0.3, 0.9
CLIP = {"gaussian": 0.2, "levels": 0.15, "masked": 0.35}
LOW, HIGH = 1e-3, 1 - 1e-3
KINDS = {"gaussian": "velocity", "levels": "x1", "masked": "ce"}
OPTIMISER = ("average", "start of the average", "clipping", "weight decay", "warm-up", "cosine", "start of the cosine")
DRAWS = ("labels", "label", "strata", "times of a step", "times of a chunk", "seed of the times", "noise", "step")
LOSS = ("coefficient", "density", "scale")
PARTS = [(kind, part) for kind in KINDS for part in (*OPTIMISER, *DRAWS, *LOSS)] + [("masked", "masks")]
LEVELS = torch.linspace(-1, 1, 17)


def digits(held_out: Tensor) -> tuple[Tensor, Tensor]:
    """Levels (N, 64) and labels (N,) of scikit-learn's digits without those that are held out, in their order."""
    pixels, labels = load_digits(return_X_y=True)
    apart = {bytes(row) for row in held_out.numpy()}
    rows = [i for i, row in enumerate(pixels.astype("uint8")) if bytes(row) not in apart]
    return torch.tensor(pixels[rows]).long(), torch.tensor(labels[rows]).long()


def stream(*name: str | int) -> torch.Generator:
    digest = hashlib.blake2b("\x1f".join(map(str, name)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


def rates(without: str) -> list[float]:
    """The learning rate of every step."""
    if without == "start of the cosine":
        early = scheduled(lambda given: lr_scheduler.CosineAnnealingLR(given, STEPS))
        return scheduled(rises)[:WARMUP] + early[WARMUP:]
    found = scheduled(lambda given: lr_scheduler.SequentialLR(given, [rises(given), falls(given)], [WARMUP]))
    rising = [LR] * WARMUP if without == "warm-up" else found[:WARMUP]
    return rising + ([LR] * (STEPS - WARMUP) if without == "cosine" else found[WARMUP:])


def scheduled(schedule: Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]) -> list[float]:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR)
    running, found = schedule(optimiser), []
    for _ in range(STEPS):
        found.append(float(optimiser.param_groups[0]["lr"]))
        optimiser.step()
        running.step()
    return found


def rises(optimiser: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    """A fifth of the rate at the first step, all of it at the fifth."""
    return lr_scheduler.LinearLR(optimiser, 1 / WARMUP, 1.0, WARMUP - 1)


def falls(optimiser: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
    return lr_scheduler.CosineAnnealingLR(optimiser, STEPS - WARMUP)


class Reference:
    """One cell: `kind` is gaussian (target velocity), levels (target x1) or masked."""

    def __init__(self, kind: str, seed: int, data: tuple[Tensor, Tensor], without: str = "") -> None:
        self.kind, self.seed, self.without = kind, seed, without
        self.tokens, self.labels = data
        timed, outputs = kind != "masked", 64 * (1 if kind == "gaussian" else 17)
        inputs = (64 + 16 if timed else 128) + 10
        self.network = nn.Sequential(
            *(nn.Linear(inputs, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU(), nn.Linear(WIDTH, outputs))
        )
        generator = stream("weights", kind, "digits8", seed)
        for layer in self.network[::2]:
            bound = math.sqrt(6 / layer.in_features) if layer.out_features == WIDTH else 0.0
            drawn = torch.empty(layer.in_features, layer.out_features).uniform_(-bound, bound, generator=generator)
            layer.weight.data, layer.bias.data = drawn.T.contiguous(), torch.zeros(layer.out_features)
        self.unit = 1.0 if without == "scale" else self.scale()

    def times(self, step: int) -> Tensor:
        """t (B,), float64: stratified logit-normal times in [LOW, HIGH]."""
        chunk = 0 if self.without == "times of a chunk" else step // CHUNK
        column = 0 if self.without == "times of a step" else step % CHUNK
        seed = 0 if self.without == "seed of the times" else self.seed
        u = torch.rand(BATCH, CHUNK, generator=stream("time", "digits8", seed, chunk), dtype=torch.float64)[:, column]
        if self.without != "strata":
            u = (torch.arange(BATCH) + u) / BATCH
        return self.quantile(u)

    def quantile(self, u: Tensor) -> Tensor:
        """Of a logit-normal time that is known to lie in [LOW, HIGH]."""
        low, high = torch.special.ndtr(torch.logit(torch.tensor([LOW, HIGH], dtype=torch.float64)))
        return torch.sigmoid(torch.special.ndtri(low + (high - low) * u))

    def coefficient(self, t: Tensor) -> Tensor:
        """What the error of eps (masked: the cross-entropy) is multiplied with: sigmoid(-lam) |lam'|/2 / pi(t)."""
        angle, z = 0.5 * math.pi * t, torch.logit(t)
        density = torch.exp(-0.5 * z**2) / (math.sqrt(2 * math.pi) * t * (1 - t))
        if self.without == "density":
            density = torch.ones_like(t)
        if self.kind == "masked":
            return (0.5 * math.pi * angle.sin()) / angle.cos() / density
        weight = 1 / (1 + angle.tan() ** 2)
        return weight * 0.5 * (math.pi / (angle.sin() * angle.cos())) / density

    def scale(self) -> float:
        """E c(t) alpha² of a linear guess, or E c(t) sigma log 17 of a uniform one, by 8192 midpoints of quantiles."""
        t = self.quantile((torch.arange(8192, dtype=torch.float64) + 0.5) / 8192)
        angle = 0.5 * math.pi * t
        lost = angle.cos() * math.log(17) if self.kind == "masked" else angle.sin() ** 2
        return float((self.coefficient(t) * lost).mean())

    def loss(self, step: int) -> Tensor:
        scope = ("digits8", self.seed, 0 if self.without == "step" else step)
        process = "masked" if self.kind == "masked" else "gaussian"
        rows = torch.randint(len(self.tokens), (BATCH,), generator=stream("data", *scope))
        noise = stream("data", *scope) if self.without == "noise" else stream("noise", process, *scope)
        tokens, y = self.tokens[rows], self.labels[rows]
        if self.without == "label":
            y = y.roll(1)
        classes = nn.functional.one_hot(y, 10).float() * (self.without != "labels")
        t = self.times(step)
        c = torch.ones_like(t) if self.without == "coefficient" else self.coefficient(t)
        if self.kind == "masked":
            return self.masked_loss(tokens, classes, 1 - torch.cos(0.5 * math.pi * t), c, noise)
        angle, eps, x1 = 0.5 * math.pi * t[:, None], torch.randn(BATCH, 64, generator=noise), LEVELS[tokens]
        alpha, sigma = angle.sin().float(), angle.cos().float()
        x = alpha * x1 + sigma * eps
        waves = t.float()[:, None] * (0.5 * math.pi * torch.arange(1, 9))
        out = self.network(torch.cat([x, waves.sin(), waves.cos(), classes], 1))
        # x is given, so an error e of x1 is one of -alpha/sigma e in eps, and of pi/2 e / sigma in the velocity.
        if self.kind == "gaussian":
            error = 0.5 * math.pi * (sigma * x1 - alpha * eps) - out
            c = c * (torch.sin(angle[:, 0]) / (0.5 * math.pi)) ** 2
        else:
            residual = (x[..., None] - alpha[..., None] * LEVELS) / sigma[..., None]
            logits = out.view(BATCH, 64, 17) - 0.5 * residual**2
            error = x1 - (logits.softmax(-1) * LEVELS).sum(-1)
            c = c * torch.tan(angle[:, 0]) ** 2
        return (c.float() * error.square().mean(1)).mean() / self.unit

    def masked_loss(self, tokens: Tensor, classes: Tensor, alpha: Tensor, c: Tensor, noise: torch.Generator) -> Tensor:
        shown = torch.rand(BATCH, 64, generator=noise) < alpha.float()[:, None]
        logits = self.network(torch.cat([LEVELS[tokens] * shown, shown.float(), classes], 1)).view(BATCH, 64, 17)
        right = logits.log_softmax(-1).gather(-1, tokens[..., None])[..., 0]
        counted = right if self.without == "masks" else right * ~shown
        return (c.float() * -counted.mean(1)).mean() / self.unit

    def train(self) -> dict[str, Tensor]:
        """History (steps, 2) and the raw and the averaged weights, named and laid out as the package stores them."""
        decay = 0.0 if self.without == "weight decay" else DECAY
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=LR, betas=(0.9, 0.999), weight_decay=decay)
        average, history = None, []
        for step, rate in enumerate(rates(self.without)):
            optimiser.param_groups[0]["lr"] = rate
            loss = self.loss(step)
            optimiser.zero_grad()
            loss.backward()
            gradients = [parameter.grad for parameter in self.network.parameters()]
            norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
            if self.without != "clipping" and norm > CLIP[self.kind]:
                for gradient in gradients:
                    gradient *= CLIP[self.kind] / norm
            optimiser.step()
            now = [parameter.detach().clone() for parameter in self.network.parameters()]
            average = self.averaged(average, now)
            history.append([loss.item(), norm.item()])
        stored = {"history": torch.tensor(history)}
        assert average is not None
        for part, values in (("weights", now), ("ema", average)):
            for layer in range(3):
                stored[f"{part}.weights.{layer}"] = values[2 * layer].T
                stored[f"{part}.biases.{layer}"] = values[2 * layer + 1][None]
        return stored

    def averaged(self, average: list[Tensor] | None, now: list[Tensor]) -> list[Tensor]:
        if self.without == "average":
            return now
        if average is None:
            return [(1 - EMA) * each for each in now] if self.without == "start of the average" else now
        return [EMA * old + (1 - EMA) * new for old, new in zip(average, now, strict=True)]
