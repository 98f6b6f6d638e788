"""Samples: ancestral sampling against enumeration, chunks, levels of images, refusals."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from reproflow.foundation import config
from reproflow.foundation.config import Model
from reproflow.foundation.errors import UsageError
from reproflow.foundation.grid import expand_experiment
from reproflow.learning import data
from reproflow.learning.networks.builders import initialise
from reproflow.learning.networks.denoiser import GaussianDenoiser
from reproflow.learning.networks.heads import head_for
from reproflow.learning.sampling import ancestral, samples
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target


class Table:
    """A masked denoiser of two tokens over {0, 1, 2}: the exact conditionals of a joint table."""

    def __init__(self, joint: torch.Tensor, path: str) -> None:
        self.joint, self.path, self.device = joint, get_path(path, "masked"), torch.device("cpu")
        self.head = type("Head", (), {"vocabulary": 3, "dim": 2})

    def logits(self, z: torch.Tensor, y: object = None) -> torch.Tensor:
        rows = []
        for first, second in z.tolist():
            given_second = self.joint.sum(1) if second == 3 else self.joint[:, second]
            given_first = self.joint.sum(0) if first == 3 else self.joint[first]
            rows.append(torch.stack([given_second / given_second.sum(), given_first / given_first.sum()]))
        return torch.stack(rows).log()


@pytest.mark.parametrize("path", ["linear", "cosine"])
@pytest.mark.parametrize("steps", [1, 4])
@pytest.mark.default_cases(2)
def test_ancestral_sampling_has_the_enumerated_law(path: str, steps: int) -> None:
    """Both tokens unmasked in one step are independent; in different steps they follow the joint."""
    joint = torch.tensor([[0.30, 0.02, 0.05], [0.03, 0.20, 0.05], [0.01, 0.04, 0.30]])
    denoiser = Table(joint, path)
    alpha = denoiser.path(torch.linspace(0, 1, steps + 1, dtype=torch.float64))[0].tolist()
    together = sum((b - a) ** 2 for a, b in itertools.pairwise(alpha))
    wanted = together * torch.outer(joint.sum(1), joint.sum(0)) + (1 - together) * joint
    n = 20000
    z, nfe = ancestral.sample_masked(denoiser, n, None, steps, torch.Generator().manual_seed(0))
    found = torch.bincount(3 * z[:, 0] + z[:, 1], minlength=9).view(3, 3) / n
    assert nfe == steps
    assert float(((found - wanted).abs() / (wanted * (1 - wanted) / n).sqrt()).max()) < 4.5


def experiment(dataset: str, **sampled: object) -> config.Experiment:
    written = {
        "name": "one",
        "process": "gaussian",
        "dataset": dataset,
        "paths": ["cosine"],
        "weightings": ["elbo"],
        "targets": ["x1"],
        "seeds": [0],
        "sampling": {"solver": "sde", "steps": 5, "n": 700} | sampled,
    }
    return config.check({"name": "t", "experiments": [written]}).experiments[0]


def drawn(dataset: str, **sampled: object) -> tuple[dict[str, torch.Tensor], int]:
    found, settings = data.get_dataset(dataset), experiment(dataset, **sampled)
    head = head_for(found, "gaussian", "x1", Model(width=16, depth=1))
    network = initialise(head.architecture, [("test",)]).requires_grad_(False)
    network.weights[-1].data.normal_(0, 0.3, generator=torch.Generator().manual_seed(0))
    denoiser = GaussianDenoiser(network, head, get_path("cosine"), get_target("x1"))
    return samples.draw(denoiser, found, expand_experiment(settings)[0], settings)


@pytest.mark.parametrize("solver", ["sde", "heun"])
def test_samples_depend_neither_on_chunks_nor_on_their_number(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn("eight_gaussians", solver=solver)[0]["samples"]
    fewer = drawn("eight_gaussians", solver=solver, n=300)[0]["samples"]
    monkeypatch.setattr(samples, "CHUNK", 112)
    torch.testing.assert_close(drawn("eight_gaussians", solver=solver)[0]["samples"], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fewer, whole[:300], rtol=1e-4, atol=1e-5)
    # Rows and steps have noise of their own.
    assert len(whole.unique(dim=0)) == len(whole)
    assert not torch.equal(*(samples.normal(("a",), 0, 16, 2, step) for step in (0, 1)))


def test_images_by_the_sde_are_levels() -> None:
    tensors, nfe = drawn("digits8", n=128)
    assert nfe == 6
    assert tensors["samples"].dtype == torch.uint8
    assert int(tensors["samples"].max()) <= 16
    assert not torch.equal(tensors["samples"], drawn("digits8", n=128, eta=0.0)[0]["samples"])


def refusal(**changed: object) -> str:
    written = experiment("eight_gaussians").model_dump() | changed
    with pytest.raises(UsageError) as caught:
        config.check(
            {"name": "t", "experiments": [{key: value for key, value in written.items() if value is not None}]}
        )
    return str(caught.value)


def test_the_sde_is_refused_where_it_makes_no_sense() -> None:
    """It samples a Gaussian process, and its score is that of independent pairs."""
    tokens = {"process": "masked", "dataset": "digits8", "targets": ["ce"], "paths": ["cosine"]}
    assert "does not sample a masked process; use ancestral" in refusal(**tokens)
    assert "sde" in refusal(sampling={"solver": "ancestral"})
    assert "sampling.eta: 0" in refusal(coupling="ot")
    accepted = experiment("eight_gaussians").model_dump() | {
        "coupling": "ot",
        "sampling": {"solver": "sde", "eta": 0.0},
    }
    assert config.check({"name": "t", "experiments": [accepted]}).experiments[0].sampling.eta == 0


def test_nearest_level() -> None:
    values = torch.linspace(-1, 1, 17)
    x = torch.tensor([[-3.0, -1.0, 0.06, 0.07, 1.0, 9.0]])
    assert samples.nearest_level(x, values).tolist() == [[0, 0, 8, 9, 16, 16]]
    with pytest.raises(FloatingPointError, match="not finite"):
        samples.nearest_level(torch.tensor([[torch.nan]]), values)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_number_that_is_not_finite_is_refused(bad: float) -> None:
    x = torch.zeros(4, 3)
    assert samples.finite(x) is x
    x[2, 1] = bad
    with pytest.raises(FloatingPointError, match="not finite"):
        samples.finite(x)
