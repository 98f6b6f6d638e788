"""Samples of exact denoisers follow the law that they are exact for, class by class.

Every test draws with the package's own seeds, so that it gives the same each time. Counts are held to known
probabilities by Pearson's test: p > 1e-3 for the sampler, p < 1e-6 for each fault put beside it.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from labelled_laws import ClassDenoiser, TokenTable, class_denoiser, experiment, images, on_cpu
from scipy import stats
from torch import Tensor

from reproflow.exact.mixture import Mixture
from reproflow.foundation.errors import UsageError
from reproflow.foundation.grid import expand_experiment
from reproflow.learning import data
from reproflow.learning.data.tensor_files import read_tensors
from reproflow.learning.networks.exact_denoiser import exact_denoiser
from reproflow.learning.sampling import reflow, samples

SOUND, WRONG = 1e-3, 1e-6
# Three classes on a line of 17 levels and two of a plane's: (weights, levels of each point).
POINTS = [
    ((0.2, 0.5, 0.3), ((2, 3), (8, 12), (14, 5))),
    ((0.6, 0.4), ((4, 14), (12, 2))),
    ((0.1, 0.9), ((0, 8), (16, 16))),
]


def on_levels(spread: float = 0.01) -> tuple[Mixture, ...]:
    return tuple(
        Mixture(torch.tensor(w, dtype=torch.float64), torch.tensor(points) / 8 - 1, torch.full((len(w),), spread))
        for w, points in POINTS
    )


def drawn(denoiser: ClassDenoiser, solver: str, steps: int, n: int = 4000) -> tuple[Tensor, Tensor, int]:
    settings = experiment("gaussian", n, solver, steps, denoiser.target.name)
    tensors, nfe = samples.draw(denoiser, images(2, 17, 3), expand_experiment(settings)[0], settings)
    return tensors["samples"], tensors["labels"], nfe


def p_values(found: Tensor, labels: Tensor) -> list[float]:
    """Of each class's counts; a sample that is none of its points counts against it."""
    values = []
    for label, (weights, points) in enumerate(POINTS):
        own = found[labels == label].long()
        counts = [int((own == torch.tensor(point)).all(1).sum()) for point in points]
        wanted = [len(own) * weight for weight in weights]
        rest = max(len(own) - sum(counts), 0)
        values.append(float(stats.chisquare([*counts, rest], [*wanted, 1e-9], sum_check=False).pvalue))
    return values


@pytest.mark.parametrize(
    ("solver", "target", "evaluations"),
    [("euler", "velocity", 1), ("sde", "velocity", 1), ("euler", "x1", 1), ("heun", "x1", 2), ("rk4", "x1", 4)],
)
@pytest.mark.default_cases(2)
def test_images_of_each_class_are_those_of_its_law(solver: str, target: str, evaluations: int) -> None:
    """Heun and RK4 on the velocity itself are too coarse for points: near t = 1 it is as stiff as 1/(1 - t)."""
    steps = 60 if evaluations == 1 else 30
    found, labels, nfe = drawn(class_denoiser(on_levels(), target), solver, steps)
    assert labels.tolist() == [0, 0, 1, 2] * 1000
    assert min(p_values(found, labels)) > SOUND
    # The last step of a converted velocity is Euler's, and the answer takes one evaluation more.
    last = 1 if target == "x1" and solver != "sde" else evaluations
    assert nfe == (steps - 1) * evaluations + last + 1


@pytest.mark.parametrize("solver", ["heun", "sde"])
def test_a_neighbours_label_is_noticed(solver: str) -> None:
    """So is a label that comes one row late."""
    found, labels, _ = drawn(class_denoiser(on_levels(), "x1", shift=1), solver, 30)
    assert max(p_values(found, labels)) < WRONG
    right, labels, _ = drawn(class_denoiser(on_levels(), "x1"), solver, 30)
    assert max(p_values(right, labels.roll(1))) < WRONG


def test_points_of_the_plane_follow_their_density() -> None:
    """The distance to the nearest of eight narrow modes, and which it is; a sample 5 % too far out is noticed."""
    plane = data.get_dataset("eight_gaussians")
    settings = experiment("gaussian", 4000, "heun", 40)
    cell = expand_experiment(settings)[0]
    found = samples.draw(on_cpu(exact_denoiser("cosine", mixture=plane.mixture)), plane, cell, settings)[0]["samples"]

    def p_value(points: Tensor) -> float:
        apart = torch.cdist(points.double(), plane.mixture.means)
        nearest, mode = apart.min(1)
        counts = torch.bincount(mode, minlength=8).numpy()
        # |x - mu|²/std² is chi-squared; 5 standard deviations lie between two modes.
        squares = (nearest / float(plane.mixture.stds[0])).square().numpy()
        return min(stats.kstest(squares, stats.chi2(2).cdf).pvalue, stats.chisquare(counts).pvalue)

    assert p_value(found) > SOUND
    assert p_value(1.05 * found) < WRONG
    assert p_value(found[found[:, 0] > 0]) < WRONG


def joint() -> Tensor:
    """Two classes of three tokens on three levels: a rare, a common and a usual level, which come together."""
    law = torch.tensor([0.7, 0.25, 0.05], dtype=torch.float64)
    alone = torch.einsum("i,j,k->ijk", law, law, law.roll(1))
    together = torch.diag_embed(torch.diag(law))
    table = 0.8 * alone + 0.2 * together
    return torch.stack([table, table.flip(0, 1)])


def token_p_values(denoiser: TokenTable, steps: int, n: int) -> list[float]:
    """Of each class's counts of all 27 states against the law by enumeration of the honest denoiser."""
    settings = experiment("masked", n, "ancestral", steps)
    honest = TokenTable(joint(), path=denoiser.path.name)
    tensors, nfe = samples.draw(denoiser, images(3, 3, 2), expand_experiment(settings)[0], settings)
    assert nfe == steps
    assert tensors["samples"].dtype == torch.uint8
    assert int(tensors["samples"].max()) < 3, "a token is left masked"
    number = (tensors["samples"].long() * torch.tensor([9, 3, 1])).sum(1)
    values = []
    for label in range(2):
        counts = torch.bincount(number[tensors["labels"] == label], minlength=27).numpy()
        values.append(float(stats.chisquare(counts, counts.sum() * honest.sampled_law(label, steps).numpy()).pvalue))
    return values


@pytest.mark.parametrize(("path", "steps"), [("cosine", 1), ("cosine", 3), ("cosine", 32), ("geometric", 3)])
@pytest.mark.default_cases(2)
def test_tokens_of_each_class_are_those_of_its_law(path: str, steps: int) -> None:
    """The geometric path ends before every token is shown: the last step shows the rest."""
    assert min(token_p_values(TokenTable(joint(), path=path), steps, 100_000)) > SOUND


def test_with_many_steps_the_tokens_follow_their_joint_law() -> None:
    """And with one they are independent given the class: the enumeration itself is no formality."""
    table, honest = joint(), TokenTable(joint())
    one, many = honest.sampled_law(0, 1), honest.sampled_law(0, 60)
    alone = [table[0].sum([i for i in range(3) if i != place]) for place in range(3)]
    independent = torch.einsum("i,j,k->ijk", *alone)
    torch.testing.assert_close(one, independent.flatten())
    assert float((many - table[0].flatten()).abs().max()) < 0.05 * float((one - table[0].flatten()).abs().max())


@pytest.mark.parametrize(("temperature", "shift"), [(1 / 1.05, 0), (1.05, 0), (1.0, 1)])
def test_a_temperature_and_a_neighbours_label_are_noticed(temperature: float, shift: int) -> None:
    assert max(token_p_values(TokenTable(joint(), temperature, shift), 3, 100_000)) < WRONG


def gaussian_classes() -> tuple[Mixture, ...]:
    means = ((-1.0, 0.5), (0.8, 0.8), (0.0, -1.2))
    return tuple(Mixture(torch.ones(1), torch.tensor([mean]), torch.tensor([0.3])) for mean in means)


def carried(x0: Tensor, y: Tensor) -> Tensor:
    """What the flow of N(mu_y, 0.3²) on the cosine path makes of x0, in closed form: distances keep their rank."""
    means = torch.cat([mixture.means for mixture in gaussian_classes()])[y]
    ends = torch.tensor([1e-3, 1 - 1e-3], dtype=torch.float64) * torch.pi / 2
    (alpha0, alpha1), (sigma0, sigma1) = ends.sin(), ends.cos()
    spread = torch.sqrt((0.3 * alpha1) ** 2 + sigma1**2) / torch.sqrt((0.3 * alpha0) ** 2 + sigma0**2)
    return alpha1 * means + spread * (x0.double() - alpha0 * means)


@pytest.mark.parametrize("n", [350, 64])
def test_pairs_of_reflow_are_the_flow_of_their_own_class(n: int, tmp_path: Path, monkeypatch) -> None:
    """Whatever the chunks: x1 is where x0 goes under its own label, and under no other."""
    monkeypatch.setattr(samples, "CHUNK", 150)
    settings = experiment("gaussian", 2000, "heun", 60)
    cell, shown = expand_experiment(settings)[0], settings.sampling.model_copy(update={"n": n})
    denoiser, file = class_denoiser(gaussian_classes()), tmp_path / "pairs.safetensors"
    digest = reflow.write_pairs(denoiser, images(2, 17, 3), cell, shown, settings.training.t_range, file)
    pairs, about = read_tensors(file)
    assert digest == data.digest(pairs)
    assert (about["cell"], about["steps"]) == (cell.key, 60)
    x0, x1, y = pairs["x0"], pairs["x1"], pairs["y"]
    assert y.tolist() == ([0, 0, 1, 2] * n)[:n]
    assert len(x0.unique(dim=0)) == n, "every pair has noise of its own"
    assert stats.kstest(x0.flatten().numpy(), "norm").pvalue > SOUND
    assert float((x1 - carried(x0, y)).abs().max()) < 5e-3
    for wrong in (carried(x0, (y + 1) % 3), carried(x0.roll(1, 0), y)):
        assert float((x1 - wrong).square().sum(1).mean()) > 0.05


def test_pairs_follow_the_flow_or_are_refused(tmp_path: Path) -> None:
    settings = experiment("gaussian", 2000, "sde", 60)
    cell = expand_experiment(settings)[0]
    with pytest.raises(UsageError, match="does not follow the flow"):
        reflow.write_pairs(
            *(class_denoiser(gaussian_classes()), images(2, 17, 3), cell, settings.sampling),
            *(settings.training.t_range, tmp_path / "pairs.safetensors"),
        )
    assert not list(tmp_path.iterdir())


def test_straightness_is_known_for_one_gaussian() -> None:
    """On the linear path the flow of N(mu, s²) bends: S by a fine rule from the affine map, and 0 for a point."""
    mixture = Mixture(torch.ones(1), torch.tensor([[0.7, -0.4]]), torch.tensor([0.3]))
    x0 = torch.randn(400, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)[:, None, None]
    spread = torch.sqrt((0.3 * t) ** 2 + (1 - t) ** 2)
    z = t * mixture.means + spread * x0
    wanted = float((z.diff(dim=0) * 4000 - (z[-1] - z[0])).square().sum(-1).mean())
    found = reflow.straightness(exact_denoiser("linear", mixture=mixture), x0, None, (1e-9, 1 - 1e-9), 200)
    assert found == pytest.approx(wanted, rel=2e-3)
    point = Mixture(torch.ones(1), torch.tensor([[0.7, -0.4]]), torch.tensor([1e-6]))
    assert reflow.straightness(exact_denoiser("linear", mixture=point), x0, None, (1e-3, 0.999)) < 1e-6
