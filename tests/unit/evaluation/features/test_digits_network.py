"""The digits feature network: what it learns, that it is reproducible, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib

import pytest
import torch

from reproflow.evaluation.features import digits_network, extractors
from reproflow.foundation.errors import UsageError
from reproflow.learning import data
from reproflow.learning.data.tensor_files import write_tensors


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "digits.safetensors"
    return path, digits_network.train_features(data.get_dataset("digits8"), path)


@pytest.mark.slow
def test_the_shipped_network_is_what_training_made(trained, tmp_path) -> None:
    """Bit for bit on the processor that it was made on; elsewhere as good, and the same file all the same."""
    digits = data.get_dataset("digits8")
    about = extractors.install_features(digits, tmp_path / "own.safetensors")
    assert (tmp_path / "own.safetensors").read_bytes() == extractors.SHIPPED.read_bytes()
    assert extractors.digits_extractor(tmp_path / "own.safetensors", digits).id == f"digits8-cnn-{about['sha256'][:8]}"
    assert about["sha256"] == extractors.SHIPPED_SHA256
    network, _ = digits_network.load_features(extractors.SHIPPED)
    right = network.classify(digits.images(digits.test)).argmax(-1) == digits.test_labels
    assert right.double().mean() == pytest.approx(about["test_accuracy"])
    assert about["test_accuracy"] == pytest.approx(trained[1]["test_accuracy"], abs=0.02)
    assert {key: about[key] for key in ("name", "seed", "data_sha256")} == {
        key: trained[1][key] for key in ("name", "seed", "data_sha256")
    }


def test_the_shipped_network_is_refused_for_other_data_or_when_changed(tmp_path, monkeypatch) -> None:
    digits = data.get_dataset("digits8")
    with pytest.raises(UsageError, match="another digits8"):
        extractors.install_features(dataclasses.replace(digits, test=digits.test.flip(0)), tmp_path / "own.safetensors")
    monkeypatch.setattr(extractors, "SHIPPED_SHA256", "0" * 64)
    with pytest.raises(UsageError, match="not the file of this version"):
        extractors.install_features(digits, tmp_path / "own.safetensors")
    assert not (tmp_path / "own.safetensors").exists()


def test_recorded_accuracy_is_that_of_the_file_on_held_out_images(trained) -> None:
    path, about = trained
    digits = data.get_dataset("digits8")
    network, stored = digits_network.load_features(path)
    right = network.classify(digits.images(digits.test)).argmax(-1) == digits.test_labels
    assert stored == about
    assert about["data_sha256"] == digits.sha256
    assert about["test_accuracy"] == pytest.approx(right.double().mean().item())
    # A classifier this accurate has seen what tells digits apart; guessing is right once in ten.
    assert about["test_accuracy"] > 0.95


def test_features_are_standardised_preactivations(trained) -> None:
    digits = data.get_dataset("digits8")
    network, _ = digits_network.load_features(trained[0])
    values = network(digits.images(digits.train))
    assert values.shape == (1347, 64)
    assert values.mean(0).abs().max() < 1e-4
    assert values.var(0).mean() == pytest.approx(1, abs=1e-4)
    assert ((values > 0).any(0) & (values < 0).any(0)).all(), "a rectified or constant feature"


def test_training_is_bitwise_reproducible_whatever_the_threads_and_global_state(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(digits_network, "EPOCHS", 1)
    digits = data.get_dataset("digits8")
    digits_network.train_features(digits, tmp_path / "a.safetensors")
    torch.manual_seed(123)
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    digits_network.train_features(digits, tmp_path / "b.safetensors")
    assert torch.equal(torch.get_rng_state(), before), "training moved the global random state"
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    digits_network.train_features(digits, tmp_path / "c.safetensors", seed=1)
    first, second, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "abc")
    assert first == second
    assert first != other


def test_extractor_carries_the_identity_of_its_weights(trained) -> None:
    path, about = trained
    extractor = extractors.digits_extractor(path, data.get_dataset("digits8"))
    assert extractor.id == f"digits8-cnn-{about['sha256'][:8]}"
    assert (extractor.dimension, extractor.levels, extractor.shape) == (64, 17, (1, 8, 8))


def test_registered_extractor_is_torch_fidelitys_and_gives_the_networks_features(trained) -> None:
    from torch_fidelity.utils import create_feature_extractor

    path, _ = trained
    digits_network.register_digits()
    digits_network.register_digits()
    created = create_feature_extractor(
        digits_network.DIGITS, ["64"], cuda=False, feature_extractor_weights_path=str(path), verbose=False
    )
    digits = data.get_dataset("digits8")
    images = digits.images(digits.test)
    network, _ = digits_network.load_features(path)
    (values,) = created(images)
    assert values.dtype == torch.float64
    assert torch.equal(values, network(images).double())


def test_features_of_other_data_or_another_kind_are_refused(trained, tmp_path) -> None:
    path, _ = trained
    digits = data.get_dataset("digits8")
    with pytest.raises(UsageError, match="trained on another digits8"):
        extractors.digits_extractor(path, dataclasses.replace(digits, test=digits.test.flip(0)))
    data.prepare("digits8", tmp_path / "data.safetensors")
    with pytest.raises(UsageError, match="not a feature network"):
        digits_network.load_features(tmp_path / "data.safetensors")
    with pytest.raises(UsageError, match="does not exist"):
        digits_network.load_features(tmp_path / "none.safetensors")


def test_feature_file_with_other_tensors_is_refused(tmp_path) -> None:
    write_tensors(tmp_path / "odd.safetensors", {"x": torch.zeros(3)}, {"kind": "features"})
    with pytest.raises(UsageError, match=r"odd\.safetensors"):
        digits_network.load_features(tmp_path / "odd.safetensors")


def test_inception_weights_are_checked_by_their_sum(tmp_path, monkeypatch) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(UsageError, match="fetch the Inception weights"):
        extractors.inception_extractor(path)
    path.write_bytes(b"not the weights")
    with pytest.raises(UsageError, match="expected 6726825d"):
        extractors.inception_extractor(path)
    monkeypatch.setattr(extractors, "INCEPTION_SHA256", hashlib.sha256(b"not the weights").hexdigest()[:8])
    assert extractors.inception_extractor(path).dimension == 2048
