"""`check --train`: the weighting under judgement, trained beside registered neighbours on the demo problem, in pairs.

Neighbours are another combination with the same canonical weight (the same ideal objective, if one is registered), the
ELBO, and the usual weight (Gaussian: uniform on the velocity; masked: simple), the last two on the same path and under
the same time law. All arms of a seed share initial weights, data, noise and time quantiles, and are trained as one
stack; each is measured on held-out data with the same noise. So differences are paired over seeds,

    d = mean over seeds of [metric(this) - metric(neighbour)],   lower is better,

with a simultaneous interval over the neighbours from eight pairs on and none below (`numerics.paired`). Gaussian:
points of `eight_gaussians`, the exact negative log-likelihood of the flow in nats. Masked: `digits8`, the variational
bound in bits/dim, which is what the ELBO's weighting minimises. Nothing is written unless a folder is named.
"""

from __future__ import annotations

import math
import time as clock
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from reproflow.evaluation.cells import likelihood
from reproflow.foundation import files, grid, limits, measures
from reproflow.foundation.config import Experiment
from reproflow.foundation.errors import UsageError
from reproflow.judge.training.arms import Arm, Outcome, arms, told
from reproflow.judge.training.plan import Plan
from reproflow.judge.training.trials import TRIALS
from reproflow.learning.data import ImageData, ToyData, get_dataset, tensor_files
from reproflow.learning.networks import builders
from reproflow.learning.networks.denoiser import DENOISERS, Denoiser
from reproflow.learning.networks.heads import Head, head_for
from reproflow.learning.training.batches import LOSSES, Batches, TrainingLoss
from reproflow.learning.training.stacked import StackedTrainer, fresh
from reproflow.theory.admission import admit
from reproflow.theory.objective import Objective

WARMUP = 0.1
Data = ToyData | ImageData
Cell = grid.Cell


def compare(subject: Objective, equivalent: Sequence[Mapping[str, Any]], plan: Plan | None = None) -> dict[str, Any]:
    """The experiment as JSON holds it: `dataset`, `metric`, `seeds`, `steps`, `this`, `neighbours`, `reason`, ..

    A weighting that cannot be trained (negative, infinite, zero) leaves `this` null and says why in `reason`; nothing
    is trained then. Raises `UsageError` for fewer than one seed or two steps, and for what user code does wrong.
    """
    plan = plan or Plan()
    started, experiment = clock.monotonic(), _experiment(subject.process, plan)
    if refusal := _refusal(subject, experiment):
        return refused(subject, refusal, plan)
    asked = [(arm, _refusal(arm.objective, experiment)) for arm in arms(subject, equivalent)]
    trained = [arm for arm, refused in asked if not refused]
    found = {**_about(experiment), **told(trained, _train(trained, experiment, plan))}
    found["left_out"] = [{"role": arm.role, "reason": refused} for arm, refused in asked if refused]
    found |= {"reason": _caution(experiment), "seconds": round(clock.monotonic() - started, 3)}
    if plan.folder is not None:
        files.write_json(plan.folder / "train.json", found)
    return found


def refused(subject: Objective, reason: str, plan: Plan) -> dict[str, Any]:
    """The answer where nothing can be trained."""
    empty: dict[str, Any] = {"this": None, "neighbours": [], "left_out": [], "seconds": 0.0}
    return {**_about(_experiment(subject.process, plan)), **empty, "reason": f"not trained: {reason}"}


def _about(experiment: Experiment) -> dict[str, Any]:
    training = experiment.training
    return {
        "dataset": experiment.dataset, "metric": _metric(experiment), "seeds": experiment.seeds,
        "steps": training.steps, "range": list(training.t_range),
    }  # fmt: skip


def _experiment(process: str, plan: Plan) -> Experiment:
    trial = TRIALS[process]()
    steps = trial.steps if plan.steps is None else plan.steps
    if plan.seeds < 1 or steps < 2:
        raise UsageError(f"--train with {plan.seeds} seeds and {steps} steps; give at least 1 seed and 2 steps.")
    settings = trial.settings
    lengths = {"steps": steps, "warmup": int(WARMUP * steps), "log_every": min(10, steps)}
    training = settings["training"] | lengths | {"ema": 1 - min(0.1, 10 / steps)}
    nouns: dict[str, Any] = {"paths": ["linear"], "weightings": ["elbo"], "seeds": list(range(plan.seeds))}
    values = {"name": "check", "process": process, **nouns, **settings, "training": training}
    return Experiment(**values)


def _refusal(subject: Objective, experiment: Experiment) -> str:
    """Why an objective cannot be trained, or nothing. What user code does wrong was refused before."""
    try:
        admit(subject, experiment.training.t_range)
    except UsageError as error:
        return str(error)
    return ""


def _caution(experiment: Experiment) -> str:
    n, steps = len(experiment.seeds), experiment.training.steps
    caution = TRIALS[experiment.process]().caution
    return (
        f"{caution}, {steps} steps, {n} seed{'s' * (n > 1)}: it says which of them learns this "
        "problem sooner, not which is right, and nothing about larger networks"
    )


# -- training ----------------------------------------------------------------------------------------------------------


class PairedDraws(Batches):
    """Batches for these losses, one a cell; the cells say seeds and data set."""

    def __init__(
        self, cells: Sequence[Cell], losses: Sequence[TrainingLoss], experiment: Experiment, data: Data
    ) -> None:
        super().__init__(cells, experiment, data, torch.device("cpu"))
        self.losses = list(losses)


Member = tuple[int, Cell]
"""One network: the place of its arm, and the cell that says its seed."""


def _train(trained: Sequence[Arm], experiment: Experiment, plan: Plan) -> list[Outcome]:
    """Trains every arm at every seed as one stack, and measures them."""
    data = get_dataset(experiment.dataset_spec, experiment.process)
    cells = grid.expand_experiment(experiment)
    members = [(place, cell) for place in range(len(trained)) for cell in cells]
    head = head_for(data, experiment.process, cells[0].target, experiment.model)
    network = builders.initialise(head.architecture, [(head.kind, data.name, cell.seed) for _, cell in members])
    stack = StackedTrainer(head, experiment.training, fresh(network, experiment.training.steps), torch.device("cpu"))
    losses = [_training_loss(arm.objective, experiment, data) for arm in trained]
    outcomes = [Outcome() for _ in trained]

    def draws(members: Sequence[Member]) -> PairedDraws:
        return PairedDraws([cell for _, cell in members], [losses[place] for place, _ in members], experiment, data)

    members = _run(stack, members, draws, outcomes, plan)
    for (place, cell), state in zip(members, stack.states() if members else [], strict=True):
        plan.alive()
        denoiser = _denoiser(trained[place].objective, cell, state.tensors, head)
        _measure(denoiser, cell, experiment, data, outcomes[place])
        _keep(trained[place], cell, denoiser, plan)
    return outcomes


def _run(
    stack: StackedTrainer,
    members: list[Member],
    draws: Callable[[Sequence[Member]], PairedDraws],
    outcomes: Sequence[Outcome],
    plan: Plan,
) -> list[Member]:
    """Takes all steps, and returns the members that are left: one that diverges leaves the stack, the rest go on."""
    source, bar = draws(members), tqdm(total=stack.training.steps, desc="train", unit="step", mininterval=5)
    while members and stack.step < stack.training.steps:
        plan.alive()
        bar.update(stack.step - bar.n)
        bad = stack.advance(source.batch(stack.step))
        for place, cell in (members[index] for index in bad):
            outcomes[place].failures.append(f"seed {cell.seed} diverged at step {stack.step}")
        if bad:
            good = [index for index in range(len(members)) if index not in bad]
            members = [members[index] for index in good]
        if bad and members:
            stack.keep(good)
            source = draws(members)
    bar.close()
    return members


def _training_loss(subject: Objective, experiment: Experiment, data: Data) -> TrainingLoss:
    vocabulary, (target,) = data.levels if isinstance(data, ImageData) else 0, experiment.output_targets
    return LOSSES[experiment.process](subject, target, vocabulary, experiment.training.t_range)


def _denoiser(subject: Objective, cell: Cell, state: Mapping[str, Tensor], head: Head) -> Denoiser:
    """The network of a state, with its averaged weights."""
    weights = {name.removeprefix("ema."): tensor for name, tensor in state.items() if name.startswith("ema.")}
    network = builders.stack(head.architecture, [weights]).eval().requires_grad_(False)
    return DENOISERS[subject.process](network, head, subject.path, cell.target)


def _metric(experiment: Experiment) -> str:
    """The measure that networks on the experiment's data are trained for."""
    images = limits.has_images(experiment.dataset_spec, experiment.process)
    return measures.primary("images" if images else "points")[0]


def _measure(denoiser: Denoiser, cell: Cell, experiment: Experiment, data: Data, outcome: Outcome) -> None:
    """The metric of one network; a measure that is refused is a failure with its reason."""
    found = likelihood(denoiser, experiment, data)
    value = found.columns.get(_metric(experiment), math.nan)
    if math.isfinite(value):
        outcome.values[cell.seed] = value
    else:
        outcome.failures.append(f"seed {cell.seed}: {found.reason or 'not finite'}")


def _keep(arm: Arm, cell: Cell, denoiser: Denoiser, plan: Plan) -> None:
    if plan.folder is not None:
        name = f"{arm.role.replace(' ', '_')}.s{cell.seed}.safetensors"
        about = {"kind": "network", "cell": ".".join(arm.name)}
        tensor_files.write_tensors(plan.folder / name, denoiser.network.state_dict(), about)
