"""The feature extractors that FID and KID use: for digits a small classifier of our own, else Inception.

Retraining the classifier moves every FID by more than resampling does, and another processor trains other weights; so
its weights are part of the package, and a FID of one machine can be compared with one of another. Extractors are
torch-fidelity's: it creates them by name from a weights file when `fid_kid` asks.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reproflow.evaluation.features.digits_network import DIGITS, DIMENSION, load_features, register_digits
from reproflow.foundation import files
from reproflow.foundation.errors import UsageError
from reproflow.learning.data import ImageData

INCEPTION = "inception-v3-compat"
INCEPTION_SHA256 = "6726825d"
SHIPPED = Path(__file__).with_name("digits8_cnn.safetensors")
SHIPPED_SHA256 = "107d4a8bf7a8ee9f0ff604ab250dd3dbb89e3eb944fc6327b2aa68344c21823a"
"""Of the shipped weights' tensors. It stands here so that the fingerprint of what uses them changes with them."""


def install_features(data: ImageData, path: str | Path) -> dict[str, Any]:
    """Copies the shipped digits network to `path`, and returns what the file says of itself.

    Raises `UsageError` where the shipped file is damaged, or the data are not those that it was trained on.
    """
    _, about = load_features(SHIPPED)
    if about["sha256"] != SHIPPED_SHA256:
        raise UsageError(f"{SHIPPED.name} is not the file of this version; install reproflow again.")
    if about["data_sha256"] != data.sha256:
        raise UsageError(
            f"the shipped feature network was trained on another {about['data']} than this {data.name};\n"
            "train one for these data (reproflow features --retrain), whose FIDs compare with no other's."
        )
    with files.atomic(path) as temporary:
        shutil.copyfile(SHIPPED, temporary)
    return about


@dataclass(frozen=True)
class Extractor:
    """A torch-fidelity feature extractor with its weights.

    `id` is the name and the start of the weights' SHA-256; images must be uint8 (N, *shape), None matching any size,
    with levels below `levels`; `layer` is the feature it gives, of `dimension` numbers.
    """

    name: str
    weights: Path
    sha256: str
    shape: tuple[int | None, ...]
    levels: int
    layer: str
    dimension: int

    @property
    def id(self) -> str:
        return f"{self.name}-{self.sha256[:8]}"


def digits_extractor(path: str | Path, data: ImageData) -> Extractor:
    """The digits network in this file, known to torch-fidelity.

    Raises `UsageError` when the file cannot be used, or was trained on other data.
    """
    _, about = load_features(path)
    if about["data_sha256"] != data.sha256:
        raise UsageError(
            f"{path} was trained on another {about['data']} than this {data.name}; train the features again."
        )
    register_digits()
    return Extractor(DIGITS, Path(path), about["sha256"], data.shape, data.levels, str(DIMENSION), DIMENSION)


def inception_extractor(path: str | Path) -> Extractor:
    """Inception v3 with the weights in this file (the ones torch-fidelity publishes, checked by their SHA-256).

    Raises `UsageError` for a missing file or a wrong sum.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path} does not exist; fetch the Inception weights there.")
    sha256 = files.sha256(path)
    if not sha256.startswith(INCEPTION_SHA256):
        raise UsageError(f"{path} has sha256 {sha256[:8]}.., expected {INCEPTION_SHA256}..; fetch it again.")
    return Extractor(INCEPTION, Path(path), sha256, (3, None, None), 256, "2048", 2048)
