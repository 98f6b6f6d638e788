"""A stack: K cells of one shape that take their steps together in one process.

One backward pass serves all (the losses are summed and nothing is shared between the K slices), gradients are clipped
per cell, foreach AdamW updates every slice alike (fused AdamW would not: its bits depend on K), and a cell whose loss
or gradient is no longer finite leaves the stack with the state it had before that step, while the rest repeat the step
without it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from reproflow.foundation.config import Training
from reproflow.foundation.errors import CellsFailed, UserFunctionError
from reproflow.learning.networks.builders import StackedNetwork, member_state, stack
from reproflow.learning.networks.heads import Head
from reproflow.learning.training.checkpoint import Checkpoint
from reproflow.learning.training.loss import batch_loss
from reproflow.learning.training.schedule import learning_rate
from reproflow.theory.divergences import Divergence

MOMENTS = ("first", "second")


class StackedTrainer:
    """K cells at the same step. `history` (K, steps, 2) holds each step's loss and gradient norm."""

    def __init__(
        self,
        head: Head,
        training: Training,
        states: list[Checkpoint],
        device: torch.device,
        divergence: Divergence | None = None,
    ) -> None:
        self.head, self.training, self.device, self.step = head, training, device, states[0].step
        self.divergence = divergence
        self._build([state.tensors for state in states])

    def _build(self, states: list[dict[str, Tensor]]) -> None:
        architecture, step = self.head.architecture, self.step
        self.network = stack(architecture, [_part(state, "weights") for state in states]).to(self.device)
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(self.training.ema))
        self.average.n_averaged.fill_(step)
        self.average.module.load_state_dict(stack(architecture, [_part(state, "ema") for state in states]).state_dict())
        names = [name for name, _ in self.network.named_parameters()]
        self.moments = {
            moment: [torch.stack([state[f"{moment}.{name}"] for state in states]).to(self.device) for name in names]
            for moment in MOMENTS
        }
        self.history = torch.stack([state["history"] for state in states])

    def states(self) -> list[Checkpoint]:
        """The state of each cell, on the CPU."""
        parts = {f"weights.{name}": tensor for name, tensor in self.network.state_dict().items()}
        parts |= {f"ema.{name}": tensor for name, tensor in self.average.module.state_dict().items()}
        for index, (name, _) in enumerate(self.network.named_parameters()):
            parts |= {f"{moment}.{name}": self.moments[moment][index] for moment in MOMENTS}
        parts = {name: tensor.detach().cpu().clone() for name, tensor in parts.items()} | {
            "history": self.history.clone()
        }
        members = range(len(self.history))
        return [Checkpoint(self.step, {name: tensor[member] for name, tensor in parts.items()}) for member in members]

    def advance(self, batch: dict[str, Tensor]) -> list[int]:
        """Takes one step, or none and returns the members whose loss or gradient is not finite.

        Raises `CellsFailed`, also before the step, for the members whose divergence, a user's own, fails.
        """
        try:
            losses = batch_loss(self.head, self.network, batch, self.divergence)
        except UserFunctionError as error:
            raise CellsFailed(self._blamed(batch) or dict.fromkeys(range(len(self.history)), str(error))) from error
        parameters: list[Tensor] = list(self.network.parameters())
        gradients = torch.autograd.grad(losses.sum(), parameters)
        # Added one after the other: a reduction over a (parameters, K) table would sum in an order that depends on K.
        squares = torch.zeros_like(losses)
        for gradient in gradients:
            squares = squares + gradient.flatten(1).square().sum(1)
        norms = squares.sqrt()
        finite = torch.isfinite(losses) & torch.isfinite(norms)
        if not bool(finite.all()):
            return (~finite).nonzero().flatten().tolist()
        shrink = (self.training.clip / norms).clamp(max=1.0)
        self._update(parameters, [gradient * shrink.view(-1, 1, 1) for gradient in gradients])
        self.average.update_parameters(self.network)
        self.history[:, self.step] = torch.stack([losses.detach(), norms], -1).cpu()
        self.step += 1
        return []

    def _blamed(self, batch: dict[str, Tensor]) -> dict[int, str]:
        """Which members' loss fails when it is asked for alone, and why."""
        reasons = {}
        for member, state in enumerate(self.states()):
            network = stack(self.head.architecture, [_part(state.tensors, "weights")]).to(self.device)
            alone = {name: tensor[member : member + 1] for name, tensor in batch.items()}
            try:
                batch_loss(self.head, network, alone, self.divergence)
            except UserFunctionError as error:
                reasons[member] = str(error)
        return reasons

    @torch.no_grad()
    def _update(self, parameters: list[Tensor], gradients: list[Tensor]) -> None:
        """AdamW in its functional form: the class imports torch's compiler, which costs seconds in every job."""
        adamw(
            parameters,
            gradients,
            self.moments["first"],
            self.moments["second"],
            max_exp_avg_sqs=[],
            state_steps=[torch.tensor(float(self.step)) for _ in parameters],
            foreach=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=learning_rate(self.training, self.step),
            weight_decay=self.training.weight_decay,
            eps=1e-8,
            maximize=False,
        )

    def keep(self, members: list[int]) -> None:
        """Reduces the stack to these members."""
        states = self.states()
        self._build([states[member].tensors for member in members])


def fresh(network: StackedNetwork, steps: int) -> list[Checkpoint]:
    """The state of each network before its first step."""
    states = []
    for member in range(len(next(network.parameters()))):
        weights = member_state(network, member)
        tensors = {f"{part}.{name}": tensor.clone() for part in ("weights", "ema") for name, tensor in weights.items()}
        tensors |= {f"{part}.{name}": torch.zeros_like(tensor) for part in MOMENTS for name, tensor in weights.items()}
        states.append(Checkpoint(0, tensors | {"history": torch.full((steps, 2), torch.nan)}))
    return states


def _part(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return {key.removeprefix(f"{name}."): tensor for key, tensor in state.items() if key.startswith(f"{name}.")}
