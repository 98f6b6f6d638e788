"""Samplers: orders of convergence, marginals of the SDE, evaluation counts, ancestral sampling against enumeration."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
from scipy import stats

from reproflow.exact.mixture import Mixture
from reproflow.foundation import config, names
from reproflow.foundation.config import Model
from reproflow.foundation.errors import UsageError
from reproflow.foundation.grid import expand_experiment
from reproflow.learning import data, sampling
from reproflow.learning.models.denoiser import GaussianDenoiser
from reproflow.learning.models.heads import head_for
from reproflow.learning.models.stacked import initialise
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

DOUBLE = torch.float64
PATHS = [known.name for known in names.known() if (known.kind, known.process) == ("path", "gaussian")]
TARGETS = [known.name for known in names.known() if known.kind == "target" and known.process == "gaussian"]

ORDERS = {"euler": 1, "heun": 2, "rk4": 4}
EVALUATIONS = {"euler": 1, "heun": 2, "rk4": 4}


@pytest.mark.parametrize("solver", sampling.TABLEAUS)
def test_order_of_convergence(solver: str) -> None:
    """dx/dt = x cos t has the solution x0 exp(sin t)."""

    def error(steps: int) -> float:
        times = torch.linspace(0, 2, steps + 1, dtype=torch.float64).tolist()
        x, nfe = sampling.integrate(lambda x, t: x * math.cos(t), torch.ones(1, 1, dtype=torch.float64), times, solver)
        assert nfe == steps * EVALUATIONS[solver]
        return abs(float(x) - math.exp(math.sin(2)))

    assert math.log2(error(40) / error(80)) == pytest.approx(ORDERS[solver], abs=0.1)


@pytest.mark.parametrize("solver", sampling.TABLEAUS)
def test_weights_of_a_tableau_are_consistent(solver: str) -> None:
    tableau = sampling.TABLEAUS[solver]
    assert sum(tableau.b) == pytest.approx(1)
    for c, row in zip(tableau.c, tableau.a, strict=True):
        assert sum(row) == pytest.approx(c)


class Gaussian:
    """The exact denoiser of N(mean, std²) data: its flow is an affine map, known in closed form."""

    def __init__(self, target: str, mean: float = 1.0, std: float = 0.3) -> None:
        from reproflow.theory.targets import get_target

        self.path, self.target, self.mean, self.std = get_path("cosine"), get_target(target), mean, std

    def velocity(self, x: torch.Tensor, t: torch.Tensor, y: object) -> torch.Tensor:
        c = self.path.at(t.double())
        variance = c.alpha**2 * self.std**2 + c.sigma**2
        slope = (c.alpha * c.dalpha * self.std**2 + c.sigma * c.dsigma) / variance
        return (c.dalpha * self.mean)[:, None] + slope[:, None] * (x - (c.alpha * self.mean)[:, None])

    def flow(self, x0: torch.Tensor, t_range: tuple[float, float]) -> torch.Tensor:
        """x at the end: quantiles are kept, so standardised distance to the mean is."""
        start, end = (self.path(torch.tensor(t, dtype=torch.float64)) for t in t_range)
        scale = [torch.sqrt(alpha**2 * self.std**2 + sigma**2) for alpha, sigma in (start, end)]
        return end[0] * self.mean + (x0 - start[0] * self.mean) * scale[1] / scale[0]


@pytest.mark.parametrize("solver", sampling.TABLEAUS)
def test_a_gaussian_is_transported(solver: str) -> None:
    denoiser, t_range = Gaussian("velocity"), (1e-3, 1 - 1e-3)
    x0 = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    x, nfe = sampling.sample_gaussian(denoiser, x0, None, t_range, solver, 200)
    assert nfe == 200 * EVALUATIONS[solver]
    assert float((x - denoiser.flow(x0, t_range)).abs().max()) < {"euler": 2e-2, "heun": 1e-4, "rk4": 1e-7}[solver]


@pytest.mark.parametrize("solver", ["heun", "rk4"])
def test_a_converted_velocity_is_not_evaluated_at_the_end(solver: str) -> None:
    """Where x1 is predicted, the velocity is 1/(1 - t) stiff: the last step is Euler's, and coarse steps stay tame."""
    denoiser, times = Gaussian("x1"), []
    honest = denoiser.velocity
    denoiser.velocity = lambda x, t, y: (times.append(float(t[0])), honest(x, t, y))[1]
    x0 = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    _, nfe = sampling.sample_gaussian(denoiser, x0, None, (1e-3, 1 - 1e-3), solver, 8)
    assert nfe == len(times) == 7 * EVALUATIONS[solver] + 1
    assert max(times) < 0.9


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
def test_ancestral_sampling_has_the_enumerated_law(path: str, steps: int) -> None:
    """Both tokens unmasked in one step are independent; in different steps they follow the joint."""
    joint = torch.tensor([[0.30, 0.02, 0.05], [0.03, 0.20, 0.05], [0.01, 0.04, 0.30]])
    denoiser = Table(joint, path)
    alpha = denoiser.path(torch.linspace(0, 1, steps + 1, dtype=torch.float64))[0].tolist()
    together = sum((b - a) ** 2 for a, b in itertools.pairwise(alpha))
    wanted = together * torch.outer(joint.sum(1), joint.sum(0)) + (1 - together) * joint
    n = 20000
    z, nfe = sampling.sample_masked(denoiser, n, None, steps, torch.Generator().manual_seed(0))
    found = torch.bincount(3 * z[:, 0] + z[:, 1], minlength=9).view(3, 3) / n
    assert nfe == steps
    assert float(((found - wanted).abs() / (wanted * (1 - wanted) / n).sqrt()).max()) < 4.5


# -- the SDE -----------------------------------------------------------------------------------------------------------


def exact(mixture: Mixture, path: str, target: str = "x1") -> GaussianDenoiser:
    """A denoiser whose network is the exact posterior mean of its target, for data from a mixture."""
    found, wanted = get_path(path), get_target(target)

    def predict(network: object, x: torch.Tensor, t: torch.Tensor, y: object) -> torch.Tensor:
        c = found.at(t[0].double())
        return mixture.target_mean(x[0].double(), c, *wanted.coefficients(c))[None].to(x)

    return GaussianDenoiser(SimpleNamespace(), SimpleNamespace(kind="gaussian", gaussian=predict), found, wanted)


def one_dimension(*rows: tuple[float, float, float]) -> Mixture:
    weights, means, stds = (torch.tensor(column, dtype=DOUBLE) for column in zip(*rows, strict=True))
    return Mixture(weights, means[:, None], stds)


def moments(path: str, steps: int, eta: float) -> tuple[float, float, float]:
    """Error of mean and variance of what `sde` makes of N(1, 0.3²) data, and the true variance, without any sampling.

    The sampler is affine in its noise: row k has noise at step k only, and the last row has none.
    """
    denoiser, t_range = exact(one_dimension((1.0, 1.0, 0.3)), path), (1e-3, 0.99)

    def noise(step: int) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor(step), steps + 2).double()[:, None]

    x, nfe = sampling.sample_sde(denoiser, noise, None, t_range, steps, eta)
    alpha, sigma = (float(each) for each in denoiser.path(torch.tensor(t_range[1], dtype=DOUBLE)))
    variance = (0.3 * alpha) ** 2 + sigma**2
    assert nfe == steps
    return float(x[-1]) - alpha, float((x[:-1] - x[-1]).square().sum()) - variance, variance


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("path", PATHS)
def test_the_sde_has_the_moments_of_the_data(path: str, eta: float) -> None:
    """At first order in the step, for any share of noise (vp starts with alpha = 0.0066: its base has another mean)."""
    errors = [moments(path, steps, eta) for steps in (60, 120)]
    assert abs(errors[1][0]) < 0.03
    assert abs(errors[1][1]) < 0.2 * errors[1][2]
    assert abs(errors[1][1]) < 0.65 * abs(errors[0][1]) or abs(errors[1][1]) < 4e-3 * errors[1][2]


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_noise_that_no_score_pays_for_widens_the_marginals(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = sampling.sde_shares
    monkeypatch.setattr(sampling, "sde_shares", lambda now, after, eta: (after[1], honest(now, after, eta)[1]))
    wrong = [moments(path, steps, 1.0) for steps in (60, 120)]
    assert all(error > variance for _, error, variance in wrong)
    assert wrong[1][1] > wrong[0][1]


def p_value(denoiser: GaussianDenoiser, mixture: Mixture, eta: float, steps: int, n: int = 2000) -> float:
    """Of the Kolmogorov-Smirnov test of n samples against the marginal at t_max."""
    generator = torch.Generator().manual_seed(0)
    t_range = (1e-3, 0.99)
    x, _ = sampling.sample_sde(
        denoiser, lambda step: torch.randn(n, 1, generator=generator, dtype=DOUBLE), None, t_range, steps, eta
    )
    alpha, sigma = (float(each) for each in denoiser.path(torch.tensor(t_range[1], dtype=DOUBLE)))
    scales = ((alpha * mixture.stds) ** 2 + sigma**2).sqrt().numpy()
    means = (alpha * mixture.means[:, 0]).numpy()

    def cdf(value) -> float:
        return stats.norm.cdf(value[..., None], means, scales) @ mixture.weights.numpy()

    return float(stats.kstest(x[:, 0].numpy(), cdf).pvalue)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_the_sde_has_the_law_of_a_mixture(eta: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """And with the same noise but without the score's correction it has not."""
    mixture = one_dimension((0.3, -1.2, 0.2), (0.7, 0.6, 0.4))
    denoiser = exact(mixture, "cosine")
    assert p_value(denoiser, mixture, eta, 200) > 1e-3
    assert p_value(denoiser, mixture, eta, 3) < 1e-6
    if eta:
        honest = sampling.sde_shares
        monkeypatch.setattr(sampling, "sde_shares", lambda now, after, eta: (after[1], honest(now, after, eta)[1]))
        assert p_value(denoiser, mixture, eta, 200) < 1e-12


@pytest.mark.parametrize(
    ("now", "after"), [((0.3, 0.7), (0.4, 0.6)), ((0.05, 0.999), (0.9, 0.1)), ((1.0, 9.0), (1.0, 2.0))]
)
def test_the_full_noise_is_the_ancestral_step(now: tuple[float, float], after: tuple[float, float]) -> None:
    """q(x_after | x_now, x1) by conditioning the Gaussian pair, where x_now is x_after rescaled with noise added."""
    covariance = now[0] / after[0] * after[1] ** 2
    kept, fresh = sampling.sde_shares(now, after, 1.0)
    assert fresh**2 == pytest.approx(after[1] ** 2 - covariance**2 / now[1] ** 2)
    # x_now = alpha x1 + sigma eps, so the regression on it is one on eps.
    assert kept == pytest.approx(covariance / now[1])
    assert sampling.sde_shares(now, after, 0.0) == (after[1], 0.0)


def test_the_sde_is_the_same_whatever_the_network_predicts() -> None:
    mixture = one_dimension((0.3, -1.2, 0.2), (0.7, 0.6, 0.4))
    fixed = torch.randn(21, 50, 1, generator=torch.Generator().manual_seed(1), dtype=DOUBLE)
    found = [
        sampling.sample_sde(exact(mixture, "linear", target), lambda k: fixed[k], None, (1e-3, 0.99), 20, 0.7)[0]
        for target in TARGETS
    ]
    assert len(found) >= 5
    for each in found[1:]:
        torch.testing.assert_close(each, found[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("solver", ["heun", "sde"])
def test_the_base_is_what_unit_data_have_become(solver: str) -> None:
    """Between inner times the linear path's marginal of N(0, 1) data has variance t² + (1 - t)²; so has the sample."""
    denoiser, t_range = exact(one_dimension((1.0, 0.0, 1.0)), "linear", "velocity"), (0.3, 0.6)
    x0 = torch.tensor([[1.0]], dtype=DOUBLE)
    if solver == "sde":
        x, _ = sampling.sample_sde(denoiser, lambda k: x0 if k == 0 else 0 * x0, None, t_range, 400, 0.0)
    else:
        x, _ = sampling.sample_gaussian(denoiser, x0, None, t_range, solver, 100)
    assert float(x) == pytest.approx(math.hypot(0.6, 0.4), rel=2e-3)


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
    return sampling.draw(denoiser, found, expand_experiment(settings)[0], settings)


@pytest.mark.parametrize("solver", ["sde", "heun"])
def test_samples_depend_neither_on_chunks_nor_on_their_number(solver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = drawn("eight_gaussians", solver=solver)[0]["samples"]
    fewer = drawn("eight_gaussians", solver=solver, n=300)[0]["samples"]
    monkeypatch.setattr(sampling, "CHUNK", 112)
    torch.testing.assert_close(drawn("eight_gaussians", solver=solver)[0]["samples"], whole, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fewer, whole[:300], rtol=1e-4, atol=1e-5)
    # Rows and steps have noise of their own.
    assert len(whole.unique(dim=0)) == len(whole)
    assert not torch.equal(*(sampling.normal(("a",), 0, 16, 2, step) for step in (0, 1)))


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
    assert sampling.nearest_level(x, values).tolist() == [[0, 0, 8, 9, 16, 16]]
    with pytest.raises(FloatingPointError, match="not finite"):
        sampling.nearest_level(torch.tensor([[torch.nan]]), values)
