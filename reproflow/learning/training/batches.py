"""Batches: the batch of every cell at a step, by seed and step alone.

Cells of one seed share data, noise and time quantiles; each maps the quantiles through its own time law. (Sharing saves
draws. It does not reduce the variance of comparisons.) Times come in chunks of a fixed number of steps, so that the
coefficients of a chunk cost one call per cell, and a resumed run finds the same chunk.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from reproflow.foundation import seeds
from reproflow.foundation.by_process import ByProcess
from reproflow.foundation.config import Experiment, parse
from reproflow.foundation.errors import CellsFailed, UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.specs import Spec
from reproflow.learning.data import ImageData, ToyData, coupled_pairs
from reproflow.theory.admission import admit, admit_target
from reproflow.theory.couplings import Coupling, get_coupling
from reproflow.theory.divergences import Divergence, admit_divergence, get_divergence
from reproflow.theory.objective import Objective
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target
from reproflow.theory.time_sampling import SCHEMES
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import get_weighting

CHUNK = 64


class TrainingLoss(Protocol):
    """What a cell minimises: an objective at times within `t_range`, in units of `scale`."""

    @property
    def objective(self) -> Objective: ...

    @property
    def t_range(self) -> tuple[float, float]: ...

    @property
    def scale(self) -> float:
        """The loss of a predictor that knows no data, which is divided by."""
        ...

    def at(self, u: Tensor) -> dict[str, Tensor]:
        """The columns of a batch that depend on time alone, float32 of u's shape, at quantiles u."""
        ...


Noise = Callable[[dict[str, Tensor], Generator, Coupling, Callable[[], Generator]], dict[str, Tensor]]

LOSSES: ByProcess[Callable[[Objective, str | Spec, int, tuple[float, float]], TrainingLoss]] = ByProcess(
    "training loss", __name__
)
"""By process: what a cell with this objective, target, vocabulary (0 where there is none) and range minimises."""
ENCODINGS: ByProcess[Callable[[ImageData], Tensor]] = ByProcess("encoding of images", __name__)
"""By process: the training images as x1, (N, D)."""
NOISES: ByProcess[Noise] = ByProcess("noise", __name__)
"""By process: the noise columns of a batch, from its data, a generator, the coupling and the coupling's generator."""


def training_loss(cell: Cell, experiment: Experiment, vocabulary: int) -> TrainingLoss:
    """What a cell minimises. Raises `UsageError` for components that cannot be trained with."""
    path, law = get_path(cell.path, cell.process), get_time_law(cell.time)
    objective, t_range = Objective(path, law, get_weighting(cell.weighting, cell.process)), experiment.training.t_range
    admit(objective, t_range)
    spec = experiment.target_spec(cell.target)
    if not spec.registered:
        admit_target(get_target(spec), path, t_range)
    return LOSSES[cell.process](objective, spec, vocabulary, t_range)


def each_cell(function: Callable[[Any], Any], cells: Iterable[Any]) -> list[Any]:
    """The function's value at each. Raises `CellsFailed` with the places where a user's own function failed."""
    values, reasons = [], {}
    for place, cell in enumerate(cells):
        try:
            values.append(function(cell))
        except UserFunctionError as error:
            reasons[place] = str(error)
    if reasons:
        raise CellsFailed(reasons)
    return values


class Batches:
    """Batches for a fixed list of cells of one experiment; tensors are made on the CPU and moved to `device`.

    Raises `CellsFailed`, also in `batch`, for cells whose own functions fail: without them the others have theirs.
    """

    def __init__(
        self, cells: Sequence[Cell], experiment: Experiment, data: ToyData | ImageData, device: torch.device
    ) -> None:
        self.experiment, self.data, self.device = experiment, data, device
        vocabulary = data.levels if isinstance(data, ImageData) else 0
        self.losses = each_cell(lambda cell: training_loss(cell, experiment, vocabulary), cells)
        self.divergence = _divergence(experiment, cells, self.losses, data.dim)
        self.pairs = coupled_pairs.load(experiment.pairs_file, data) if experiment.pairs_file else None
        self.coupling = each_cell(lambda _: get_coupling(experiment.coupling_spec), cells)[0]
        self.seeds = sorted({cell.seed for cell in cells})
        self.seed_of = torch.tensor([self.seeds.index(cell.seed) for cell in cells])
        self._chunk = -1
        self._columns: dict[str, Tensor] = {}

    def batch(self, step: int) -> dict[str, Tensor]:
        """All that the loss of a step needs, each with leading dimensions (K, B)."""
        columns = {name: column[:, step % CHUNK] for name, column in self._times(step // CHUNK).items()}
        try:
            per_seed = [self._draw(seed, step) for seed in self.seeds]
        except UserFunctionError as error:
            # A user's data or coupling, which all cells share.
            raise CellsFailed(dict.fromkeys(range(len(self.losses)), str(error))) from error
        shared = {name: torch.stack([draw[name] for draw in per_seed])[self.seed_of] for name in per_seed[0]}
        return {name: tensor.to(self.device) for name, tensor in (columns | shared).items()}

    def _draw(self, seed: int, step: int) -> dict[str, Tensor]:
        """Data, labels and noise of one seed: x1 (B, D), y (B,), and eps or the masks' uniforms (B, D)."""
        batch, scope = self.experiment.training.batch, (self.data.name, seed, step)
        generator = seeds.generator("data", *scope)
        if self.pairs is not None:
            return self.pairs.draw(batch, generator)
        noise = seeds.generator("noise", self.experiment.process, *scope)
        if isinstance(self.data, ToyData):
            drawn = {"x1": self.data.sample(batch, generator)}
        else:
            index = torch.randint(len(self.data.train), (batch,), generator=generator)
            drawn = {"x1": self._train[index], "y": self.data.labels()[index]}
        rule = functools.partial(seeds.generator, "coupling", *scope)
        return drawn | NOISES[self.experiment.process](drawn, noise, self.coupling, rule)

    @property
    def _train(self) -> Tensor:
        assert isinstance(self.data, ImageData)
        if not hasattr(self, "_train_cache"):
            self._train_cache = ENCODINGS[self.experiment.process](self.data)
        return self._train_cache

    def _times(self, chunk: int) -> dict[str, Tensor]:
        """The losses' columns for a chunk of steps, (K, CHUNK, B)."""
        if chunk != self._chunk:
            quantiles = [self._quantiles(seed, chunk) for seed in self.seeds]
            placed = zip(self.losses, self.seed_of.tolist(), strict=True)
            rows = each_cell(lambda pair: pair[0].at(quantiles[pair[1]]), placed)
            self._chunk, self._columns = chunk, {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        return self._columns

    def _quantiles(self, seed: int, chunk: int) -> Tensor:
        """Uniforms (CHUNK, B), drawn over each step's batch by the experiment's scheme."""
        generator = seeds.generator("time", self.data.name, seed, chunk)
        u = torch.rand(self.experiment.training.batch, CHUNK, generator=generator, dtype=torch.float64)
        return SCHEMES[self.experiment.drawing](u).T.contiguous()


def _divergence(
    experiment: Experiment, cells: Sequence[Cell], losses: Sequence[TrainingLoss], dim: int
) -> Divergence | None:
    """What takes the place of the squared error, if anything does. Raises `UsageError` for what cannot be trained."""
    found = each_cell(lambda _: get_divergence(parse(experiment.divergence, "divergence")), cells)
    if not found or found[0].name == "squared":
        return None

    def admitted(pair: tuple[Cell, TrainingLoss]) -> None:
        cell, objective = pair[0], pair[1].objective
        admit_divergence(found[0], objective.weighting.name, objective.prediction, cell.target, dim)

    each_cell(admitted, zip(cells, losses, strict=True))
    return found[0]
