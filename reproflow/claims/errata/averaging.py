"""Erratum in 003's moving average of weights: what is swapped in is the average itself (E14)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import erratum
from reproflow.claims.policy import Context, Measurement

ALIAS = "shared storage"
TWICE = "applied twice"
BUFFERS = "buffers left out"
DECAY = 0.9
STEPS = 10


class Net(nn.Module):
    """One weight and one buffer, both in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        self.running: Tensor
        self.register_buffer("running", torch.zeros(1, dtype=torch.float64))


class Shadow:
    """A moving average that is swapped into the network's own parameters, by reference (`alias`) or as a copy."""

    def __init__(self, net: Net, alias: bool = True) -> None:
        self.net, self.alias = net, alias
        self.average = net.weight.data.clone()
        self.kept = net.weight.data

    def update(self) -> None:
        self.average -= (1 - DECAY) * (self.average - self.net.weight.data)

    def apply(self) -> None:
        self.kept = self.net.weight.data
        self.net.weight.data = self.average if self.alias else self.average.clone()

    def restore(self) -> None:
        self.net.weight.data = self.kept


@erratum(
    "E14",
    title="003's EMA: what is applied is the average itself, safe only as long as nothing writes to it",
    source="003, EMA (Exponential Moving Average)",
    tolerance=0.0,
    controls=(ALIAS, TWICE, BUFFERS),
)
def shadow(form: str, context: Context) -> Measurement:
    """`param.data = shadow` hands out the average itself: a write in place while it is applied changes the average.

    Statement: sampling with the averaged weights leaves the average and the raw weights as they were, whatever is done
        to the network meanwhile, and the network that samples holds averages only. The page's own use, apply, sample,
        restore, writes nothing and is safe; the class is not, once something else is done with it.
    Assumptions: none; the update formula shadow -= (1 - d)(shadow - weight) is right (it is torch's own).
    Computed: a network of one weight and one buffer, ten updates at d = 0.9, the number of defects that show: the
        drift of the average when 1 is added in place to the weight while the average is applied, as an optimiser step
        or `load_state_dict` would, neither of which the page does then (corrected: a copy is applied); the change of
        the raw weight after apply, apply, restore, where the second apply keeps the average as "raw"; the distance of
        the sampling network's buffer from the average of that buffer over the run, since the page averages parameters
        only (harmless in networks without buffers, such as those with LayerNorm). The last two are corrected by a
        network of its own for the average, torch.optim.swa_utils.AveragedModel with use_buffers=True: nothing is
        swapped. reproflow trains so.
    Source: 003, "EMA (Exponential Moving Average)": "self.backup[name] = param.data", "param.data = self.shadow[name]",
        "for name, param in self.model.named_parameters()".
    Refuted by: one defect that shows; each alone is a control.
    """
    return defects.count({ALIAS: _drift, TWICE: _lost, BUFFERS: _stale}, form)


def trained(average: Shadow | AveragedModel, net: Net) -> list[float]:
    """Ten steps in which weight and buffer become 1, 2, .., 10, each followed by an update; these values."""
    values = [float(step) for step in range(1, STEPS + 1)]
    for value in values:
        net.weight.data.fill_(value)
        net.running.fill_(value)
        average.update() if isinstance(average, Shadow) else average.update_parameters(net)
    return values


def averaged(net: Net) -> AveragedModel:
    """torch's moving average of parameters and buffers, begun at the network's values as `Shadow` is."""
    average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(DECAY), use_buffers=True)
    average.update_parameters(net)
    return average


def moving_average(values: list[float]) -> float:
    """sum of (1 - d) d^(n-k) v_k over k = 1..n, from 0."""
    return sum((1 - DECAY) * DECAY ** (len(values) - k) * value for k, value in enumerate(values, 1))


@torch.no_grad()
def _drift(faulty: bool) -> Measurement:
    net = Net()
    shadow = Shadow(net, alias=faulty)
    trained(shadow, net)
    before = float(shadow.average)
    shadow.apply()
    net.weight.add_(1)
    shadow.restore()
    drift = abs(float(shadow.average) - before)
    return Measurement(drift, detail=f"a write of 1 into the applied weights moves the average by {drift:.3g}")


def _lost(faulty: bool) -> Measurement:
    net = Net()
    if faulty:
        shadow = Shadow(net)
        values = trained(shadow, net)
        shadow.apply()
        shadow.apply()
        shadow.restore()
    else:
        values = trained(averaged(net), net)
    lost = abs(float(net.weight.detach()) - values[-1])
    return Measurement(lost, detail=f"the raw weight comes back off by {lost:.3g}")


def _stale(faulty: bool) -> Measurement:
    net = Net()
    if faulty:
        shadow = Shadow(net)
        values = trained(shadow, net)
        shadow.apply()
        buffer = net.running
    else:
        average = averaged(net)
        values = trained(average, net)
        buffer = next(average.module.buffers())
    gap = abs(float(buffer) - moving_average(values))
    return Measurement(gap, detail=f"the sampling network's buffer is {gap:.3g} from its average")
