"""Erratum in 003's reflow script: from data instead of noise, and a new model that never moves (E17)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import erratum
from reproflow.claims.errata.training_loops import Descent
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.exact.mixture import Mixture
from reproflow.learning.sampling.ode import integrate
from reproflow.numerics import gauss_rules
from reproflow.theory.paths import forward_path

DATA = "starts from data"
OPTIMIZER = "optimizer of another model"
ROUNDS = "a round too few"
SIGNATURES = "two signatures"
UNDEFINED = "names undefined"
MEAN = 3.0
STD = 0.5


@erratum(
    "E17",
    title="003's reflow: pairs made from data, an optimizer that does not hold the new model",
    source="003, The Reflow Algorithm",
    tolerance=0.0,
    controls=(DATA, OPTIMIZER),
    textual={
        ROUNDS: "'for iteration in range(1, num_iterations)' makes num_iterations - 1 models; the list begins with the "
        "first one, which the page's table 'Iteration 1, 2, 3' may count",
        SIGNATURES: "'sample_ode(models[-1], x1)' here, 'sample_ode(model, num_samples=64)' in 'Training Metrics': the "
        "page defines no such function",
        UNDEFINED: "device, num_epochs and optimizer are used in reflow() and defined nowhere in it",
    },
)
def reflow(form: str, context: Context) -> Measurement:
    """Reflow pairs start from noise; the page draws its x1, the noise end, from the loader of the data.

    Statement: each round carries noise along the present flow, trains a new model on the pairs and adds it.
    Assumptions: 003's time runs from data to noise (its x1 is noise, our x0); translated here. The loader is that of
        the training function on the same page, which yields data.
    Computed: the number of defects that show. Data N(3, 1/4), whose flow is known exactly, starts at Gauss-Hermite
        nodes of the noise or of the data, carried by the sampler's RK4: distance of mean and standard deviation of
        what is made from the data's (from data the flow makes N(4.5, 1/16)). Five steps on the pairs with an
        optimizer made for the old model, the only one that could be in scope: the new model's weight moves by 0.
    Source: 003, "The Reflow Algorithm": "for x1 in tqdm(train_loader, .." and, below "new_model = ..",
        "optimizer.step()"; Liu et al. 2023.
    Refuted by: one defect that shows; each alone is a control.
    """
    attempts: dict[str, defects.Attempt] = {
        DATA: _made,
        OPTIMIZER: _moved,
    }
    return defects.count(attempts, form)


def carried(starts: Tensor, steps: int = 20) -> Tensor:
    """The exact flow of N(3, 1/4) along the linear path from t = 0 to t = 1; starts (B, 1)."""
    data = Mixture(torch.ones(1), torch.tensor([[MEAN]]), torch.tensor([STD]))

    def field(x: Tensor, t: float) -> Tensor:
        return data.marginal_velocity(x, forward_path("linear").at(torch.tensor(t, dtype=torch.float64)))

    return integrate(field, starts, torch.linspace(0, 1, steps + 1, dtype=torch.float64).tolist(), "rk4")[0]


def _made(faulty: bool) -> Measurement:
    nodes, weights = gauss_rules.tensors(gauss_rules.hermite(8))
    ends = carried((MEAN + STD * nodes if faulty else nodes)[:, None])[:, 0]
    mean = float(weights @ ends)
    std = float(weights @ (ends - mean) ** 2) ** 0.5
    return Measurement(worst(abs(mean - MEAN), abs(std - STD)), detail=f"makes mean {mean:.4g}, std {std:.4g}")


def _moved(faulty: bool) -> Measurement:
    old, new = (defects.seeded(lambda: nn.Linear(1, 1), "E17", name) for name in ("old", "new"))
    x0 = defects.noise(32, 1, purpose="E17")
    optimizer, before = Descent((old if faulty else new).parameters()), new.weight.detach().clone()
    for _ in range(5):
        (new(x0) - (MEAN + STD * x0)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    moved = float((new.weight.detach() - before).abs())
    return Measurement(float(moved == 0), detail=f"five steps move the new model by {moved:.3g}")
