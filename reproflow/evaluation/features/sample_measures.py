"""FID and KID as measures: samples of images against the features of the train and the held-out split."""

from __future__ import annotations

from reproflow.evaluation.features import fid_kid
from reproflow.evaluation.measures import Measured, Subject, measure
from reproflow.foundation import processes
from reproflow.foundation.measures import Facts


@measure(
    "fid_train",
    process=processes.trained(),
    cite="Heusel et al. 2017",
    facts=Facts(
        heading="FID, train", unit="", decimals=2, margin=0.05, relative=True, of="samples", data="images",
        family="FID", features=True,
    ),
)  # fmt: skip
def fid_train(subject: Subject) -> Measured | None:
    """FID of the samples against the training split, by the data set's feature network."""
    return _fid(subject, "train")


@measure(
    "fid_test",
    process=processes.trained(),
    cite="Heusel et al. 2017",
    facts=Facts(
        heading="FID, held out", unit="", decimals=2, margin=0.05, relative=True, of="samples", data="images",
        family="FID", features=True, also=("fid_n", "fid_features"),
    ),
)  # fmt: skip
def fid_test(subject: Subject) -> Measured | None:
    """FID of the samples against the held-out split; the same samples and features as `fid_train`."""
    return _fid(subject, "test")


@measure(
    "kid",
    process=processes.trained(),
    cite="Binkowski et al. 2018",
    facts=Facts(
        heading="KID", unit="", decimals=4, margin=1e-3, of="samples", data="images", family="KID", features=True,
        compared=False,
    ),
)  # fmt: skip
def kid(subject: Subject) -> Measured | None:
    """KID of the samples against the training split. It is unbiased, and follows FID where both can be read."""
    if subject.reference is None:
        return None
    return Measured(*fid_kid.kid_alone(subject.features, subject.reference.train, subject.reference.extractor))


def _fid(subject: Subject, split: str) -> Measured | None:
    reference = subject.reference
    if reference is None:
        return None
    against = reference.train if split == "train" else reference.test
    labels = subject.drawn["labels"]
    found = fid_kid.fid_kid(subject.features, against, reference.extractor, labels=labels, kid=False)
    return Measured(found.fid, found.fid_se, about={"fid_n": found.n, "fid_features": found.features})
