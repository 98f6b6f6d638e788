"""Erratum in 003's reflow script: from data instead of noise, a new model that never moves, a round too few (E17)."""

from __future__ import annotations

from typing import Any

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
    title="003's reflow: pairs made from data, an optimizer without the new model",
    source="003, The Reflow Algorithm",
    tolerance=0.0,
    controls=(DATA, OPTIMIZER, ROUNDS, SIGNATURES, UNDEFINED),
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
        range(1, 3) for three iterations: two rounds, as its own progress line counts them; in a list that starts with
        the first model three models, so the page's table "iteration 1, 2, 3" may count that one. A sampler called
        as (model, x1) here and as (model, num_samples=) in its monitoring code: no one function without defaults takes
        both (TypeError). Names that nothing defines: device, num_epochs, optimizer.
    Source: 003, "The Reflow Algorithm", "Training Metrics"; Liu et al. 2023.
    Refuted by: one defect that shows; each alone is a control.
    """
    attempts: dict[str, defects.Attempt] = {
        DATA: _made,
        OPTIMIZER: _moved,
        ROUNDS: _rounds,
        SIGNATURES: _signatures,
        UNDEFINED: _names,
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


def _rounds(faulty: bool, iterations: int = 3) -> Measurement:
    models = ["first"]
    for round_ in range(1, iterations if faulty else iterations + 1):
        models.append(f"round {round_}")
    made = len(models) - 1
    return Measurement(float(iterations - made), detail=f"{made} new models in {iterations} iterations")


def _signatures(faulty: bool) -> Measurement:
    def sample(model: nn.Module, x0: Tensor) -> Tensor:
        return model(x0)

    model, x0 = nn.Identity(), torch.zeros(4, 1)
    other: dict[str, Any] = {"num_samples": 4} if faulty else {"x0": x0}
    return defects.raises(TypeError, lambda: (sample(model, x0), sample(model, **other)))


def _names(faulty: bool) -> Measurement:
    lines = ["x.to(device)", "for epoch in range(num_epochs): pass", "optimizer.step()"]
    given: dict[str, Any] = {"x": torch.zeros(1)}
    if not faulty:
        given |= {"device": "cpu", "num_epochs": 2, "optimizer": Descent([])}
    return defects.undefined(lines, given)
