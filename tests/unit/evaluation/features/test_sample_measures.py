"""FID and KID as measures: which split each compares with, and that blocks know the samples' classes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from reproflow.evaluation.features import fid_kid, sample_measures
from reproflow.evaluation.measures import Subject
from reproflow.learning import data


def features(seed: int, shift: float, n: int = 300) -> fid_kid.Features:
    generator = torch.Generator().manual_seed(seed)
    return fid_kid.Features(torch.randn(n, 4, generator=generator, dtype=torch.float64) + shift, "made-up")


@pytest.fixture
def subject() -> Subject:
    """Samples at 0, a train split at 1 and a held-out one at 2, in every feature."""
    reference = SimpleNamespace(
        extractor=SimpleNamespace(id="made-up", name="x", layer="4", weights="", dimension=4),
        train=features(1, 1.0),
        test=features(2, 2.0),
    )
    labels = torch.arange(300) % 10
    found = Subject(None, None, data.get_dataset("digits8"), {"labels": labels}, reference)
    object.__setattr__(found, "__dict__", {**vars(found), "features": features(0, 0.0)})
    return found


def test_each_fid_is_that_to_its_own_split(subject: Subject) -> None:
    """Four features that are 1 (2) apart make 4 (16)."""
    train, test = sample_measures.fid_train(subject), sample_measures.fid_test(subject)
    assert train.value == pytest.approx(4, rel=0.15)
    assert test.value == pytest.approx(16, rel=0.15)
    assert train.about == test.about == {"fid_n": 300, "fid_features": "made-up"}
    apart = fid_kid.fid_kid(subject.features, subject.reference.train, subject.reference.extractor, kid=False)
    assert train.value == apart.fid
    assert train.se != apart.fid_se, "the blocks hold their shares of each class"


def test_kid_is_that_to_the_training_split(subject: Subject) -> None:
    near = fid_kid.kid_alone(subject.features, subject.reference.train, subject.reference.extractor)
    assert (lambda found: (found.value, found.se))(sample_measures.kid(subject)) == near


def test_without_a_reference_nothing_is_compared() -> None:
    alone = Subject(None, None, data.get_dataset("digits8"))
    assert [each(alone) for each in (sample_measures.fid_train, sample_measures.fid_test, sample_measures.kid)] == [
        None,
        None,
        None,
    ]
