"""Errata in 003's training scripts: what the loader yields and what is returned (E15), gradients that add up (E16)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, TensorDataset

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import PRINTED, erratum
from reproflow.claims.policy import Context, Measurement

LOADER = "loader yields pairs"
RETURNED = "raw weights returned"


class Descent:
    """w <- w - rate grad for the parameters it holds; torch's own optimisers take seconds to import."""

    def __init__(self, parameters: Iterable[nn.Parameter], rate: float = 0.1) -> None:
        self.parameters, self.rate = list(parameters), rate

    @torch.no_grad()
    def step(self) -> None:
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.sub_(self.rate * parameter.grad)

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None


@erratum(
    "E15",
    title="003's script: the loader yields pairs, and the raw weights are returned",
    source="003, Complete Training Script",
    tolerance=0.0,
    controls=(LOADER, RETURNED),
)
def script(form: str, context: Context) -> Measurement:
    """An image data set yields [x, y], which has no `.to`; the averaged weights are kept but not returned.

    Statement: the training function takes the loader of the page's own example and returns the network to sample with.
    Assumptions: a labelled data set, as CIFAR-10 is; the page's "Use EMA for better sampling quality".
    Computed: the number of defects that show: moving a batch of a labelled data set to the device (AttributeError on a
        list; corrected: unpacked first); the distance between the weight that a training of 20 steps returns and the
        moving average that it has kept (corrected: the average is returned). As printed the average can be had from a
        checkpoint file only.
    Source: 003, "Full Implementation" and "Training Example".
    Refuted by: one defect that shows; each alone is a control.
    """
    return defects.count({LOADER: _first_batch, RETURNED: _returned}, form)


def _first_batch(faulty: bool) -> Measurement:
    loader = DataLoader(TensorDataset(torch.zeros(4, 2), torch.arange(4)), batch_size=2)
    batch = next(iter(loader))
    return defects.raises(AttributeError, lambda: (batch if faulty else batch[0]).to("cpu"))


def _returned(faulty: bool) -> Measurement:
    net = defects.seeded(lambda: nn.Linear(1, 1), "E15")
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    optimizer = Descent(net.parameters())
    for x in defects.noise(20, 8, 1, purpose="E15"):
        optimizer.zero_grad()
        (net(x) - 3 * x).square().mean().backward()
        optimizer.step()
        average.update_parameters(net)
    returned = net if faulty else average.module
    gap = float((next(returned.parameters()) - next(average.parameters())).detach().abs())
    return Measurement(gap, detail=f"the network returned is {gap:.3g} from the average")


RATE = 0.1
LONG = 200


@erratum(
    "E16",
    title="003's first loop never clears its gradients",
    source="003, The Training Loop",
    tolerance=1e-12,
)
def accumulated(form: str, context: Context) -> Measurement:
    """Without zero_grad the n-th step uses the sum of n gradients: 6 after three steps of slope 2, where 2 is meant.

    Statement: each step of the loop descends along the gradient of its own batch's loss.
    Assumptions: torch's backward, which adds to what is there.
    Computed: the loss 2 w, whose gradient is 2 wherever w is; the statistic is the excess of the third step's gradient,
        relative to 2. The detail says what it does: on w²/2 with rate r the loop becomes w' = w - r (w_1 + .. + w_n),
        z² - (2 - r) z + 1 = 0, roots of modulus 1: it never converges (largest |w| of steps 150 to 200 from 1).
    Source: 003, "The Training Loop", step 6 (its complete script does clear them).
    Refuted by: an excess above 1e-12.
    """
    gradient = gradients(form == PRINTED, lambda w: 2 * w, steps=3)[0][-1]
    late = max(abs(w) for w in gradients(form == PRINTED, lambda w: w**2 / 2, steps=LONG)[1][150:])
    detail = f"gradient {gradient:g} after three steps of slope 2; on w²/2 late |w| up to {late:.2g}"
    return Measurement(abs(gradient - 2) / 2, detail=detail)


def gradients(faulty: bool, loss: Callable[[Tensor], Tensor], steps: int) -> tuple[list[float], list[float]]:
    """The gradients that the steps use and the weights that they reach, from w = 1; `faulty` never clears."""
    w = nn.Parameter(torch.ones((), dtype=torch.float64))
    optimizer, used, reached = Descent([w], RATE), [], []
    for _ in range(steps):
        if not faulty:
            optimizer.zero_grad()
        loss(w).backward()
        used.append(float(w.grad if w.grad is not None else torch.nan))
        optimizer.step()
        reached.append(float(w.detach()))
    return used, reached
