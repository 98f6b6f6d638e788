"""A small classifier of digits, whose features FID and KID compare.

Two convolutions and a linear layer to 64 numbers, taken **before** their ReLU (a third of the rectified ones are
dead), which feed a ten-class classifier. Weights depend on the thread count: `train_features` uses one.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from reproflow.foundation import seeds
from reproflow.foundation.errors import UsageError
from reproflow.learning.data import ImageData
from reproflow.learning.data.tensor_files import read_tensors, write_tensors

DIGITS = "digits8-cnn"


DIMENSION = 64


EPOCHS = 30
BATCH = 64
RATE = 2e-3


class DigitsNetwork(nn.Module):
    """uint8 images (N, 1, 8, 8) on 17 levels -> features (N, 64), float32; `classify` gives class logits (N, 10).

    Features are pre-activations, shifted and scaled as a whole to mean 0 and mean variance 1 over the training images:
    FID is then in units of that variance, KID's kernel of order 1, and neither depends on how far training went.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, 3, padding=1)
        self.second = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.features = nn.Linear(64 * 4 * 4, DIMENSION)
        self.last = nn.Linear(DIMENSION, 10)
        self.register_buffer("shift", torch.zeros(DIMENSION))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        return (self._activations(images) - self.shift) / self.scale

    def classify(self, images: Tensor) -> Tensor:
        return self.last(self._activations(images).relu())

    @torch.no_grad()
    def standardise(self, images: Tensor) -> None:
        """Sets shift and scale from these images."""
        raw = self._activations(images)
        self.shift.copy_(raw.mean(0))
        self.scale.copy_(raw.var(0).mean().sqrt())

    def _activations(self, images: Tensor) -> Tensor:
        h = self.first(images.float() / 8 - 1).relu()
        return self.features(self.second(h).relu().flatten(1))


def train_features(data: ImageData, path: str | Path, seed: int = 0) -> dict[str, Any]:
    """Trains the digits network on the train split and writes it; the same machine gives the same bytes.

    Returns what the file says of itself: the SHA-256 of its data and weights, and the accuracy on the held-out images.
    """
    with _one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.derive("features", data.name, seed))
        network = DigitsNetwork()
        _fit(network, data.images(data.train), data.train_labels, seed)
        network.standardise(data.images(data.train))
        right = network.classify(data.images(data.test)).argmax(-1) == data.test_labels
    about = {"kind": "features", "name": DIGITS, "data": data.name, "data_sha256": data.sha256, "seed": seed}
    about["test_accuracy"] = float(right.double().mean())
    return {**about, "sha256": write_tensors(path, network.state_dict(), about)}


def load_features(path: str | Path) -> tuple[DigitsNetwork, dict[str, Any]]:
    """The network of such a file, and what the file says of itself.

    Raises `UsageError` when it is missing, damaged, changed, or not a feature network.
    """
    tensors, about = read_tensors(path)
    if about.get("kind") != "features":
        raise UsageError(
            f"{path} holds {about.get('kind', 'no')} data, not a feature network; train the features again."
        )
    network = DigitsNetwork()
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise UsageError(f"{path} holds another network than this version's; train the features again.") from error
    return network.eval().requires_grad_(False), about


@functools.cache
def register_digits() -> None:
    """Makes the digits network known to torch-fidelity under its name, once."""
    from torch_fidelity import FeatureExtractorBase, register_feature_extractor

    class DigitsExtractor(FeatureExtractorBase):
        """torch-fidelity's view of `DigitsNetwork`: one layer, "64"; float64 so that statistics lose no digits."""

        def __init__(self, name: str, features_list: list[str], feature_extractor_weights_path: str, **_: Any) -> None:
            super().__init__(name, features_list)
            self.network, _about = load_features(feature_extractor_weights_path)

        def forward(self, input: Tensor) -> tuple[Tensor, ...]:
            return (self.network(input).double(),)

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return (str(DIMENSION),)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return str(DIMENSION)

        @staticmethod
        def can_be_compiled() -> bool:
            return False

    register_feature_extractor(DIGITS, DigitsExtractor)


def _fit(network: DigitsNetwork, images: Tensor, labels: Tensor, seed: int) -> None:
    """AdamW with a cosine rate over shuffled batches; the order of an epoch is drawn from its own seed."""
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(images), generator=seeds.generator("features order", seed, epoch))
        for batch in order.split(BATCH):
            optimiser.zero_grad()
            functional.cross_entropy(network.classify(images[batch]), labels[batch]).backward()
            optimiser.step()
        schedule.step()


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, whoever calls: the order of a sum changes the weights, and distances need the same ones."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
