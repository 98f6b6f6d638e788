"""The cascade of a run's image cells as rows: `cascade.csv`.

One row a cell and quantity; `at` is the level, the number of steps or the weighting it is about. Intervals are at
95 %, by t with seven degrees of freedom, the fewest that any error here has. Verdicts follow the policy of claims: an
identity is supported where the interval of the difference lies inside a tenth of the value and its control is refuted,
refuted where it lies outside, else inconclusive; a bound is one-sided.

    entropy          H(q) in nats
    path_kl          PKL at a level, and in `reference` what the chain of the most steps finds at it
    elbo             E_q L^(s) = -H(q) - PKL(s)
    path_kl_steps    PKL at the data end in so many steps; `reference` is the continuous limit
    weighted_sum     the integral of PKL over nu; `reference` is the weighted excess loss, by its definition
    weighted_term    its parts, which add up: the atom at the data end, then quarters of the way; `reference`: nu there
    data_model_kl    KL(q || p^(i)), plug-in with jackknife error; `reference` is PKL_i of the same chain
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import torch
from torch import Generator, Tensor
from tqdm import tqdm

from reproflow.evaluation.bound_cascade.chains import TOLD, Chains
from reproflow.evaluation.bound_cascade.columns import COLUMNS, REPLICATES
from reproflow.evaluation.bound_cascade.profile import Profile, over_rows
from reproflow.evaluation.bound_cascade.rows import INCONCLUSIVE, REFUTED, SUPPORTED, identity, row_of
from reproflow.evaluation.bound_cascade.subject import SUBJECTS, Subject
from reproflow.evaluation.collect import write_csv
from reproflow.foundation import grid, limits, registry, seeds
from reproflow.foundation.errors import UserFunctionError
from reproflow.foundation.grid import Cell
from reproflow.foundation.run import Run
from reproflow.foundation.schema import Cascade
from reproflow.foundation.store import Slot
from reproflow.learning import data as datasets
from reproflow.learning.data import ImageData
from reproflow.learning.trained import load_denoiser
from reproflow.numerics.statistics import Measured
from reproflow.theory import bounds
from reproflow.theory.log_snr import invert_lam, log_snr
from reproflow.theory.objective import Objective
from reproflow.theory.paths import Path
from reproflow.theory.times import get_time_law
from reproflow.theory.weightings import Weighting, get_weighting

RANGE = (1e-3, 1 - 1e-3)
"""Beyond these times a weight is held at its value there, so that none is infinite."""
QUARTERS = 4


def cells(run: Run) -> list[Cell]:
    """The image cells whose cascade is told: of every product of nouns the first `seeds` seeds."""
    wanted = run.config.cascade
    if wanted is None:
        return []
    chosen = []
    for experiment in run.config.experiments:
        if limits.has_images(experiment.dataset_spec, experiment.process):
            kept = experiment.seeds[: wanted.seeds]
            chosen += [cell for cell in grid.expand_experiment(experiment) if cell.seed in kept]
    return chosen


def write(run: Run, device: torch.device) -> None:
    """Writes `cascade.csv`; a cell without a good training record is a row that says so.

    Raises `ReproflowError` where no cell has a training record, or a network's file was changed.
    """
    assert run.config.cascade is not None
    rows: list[dict[str, Any]] = []
    wanted = cells(run)
    run.require(wanted, "train")
    for cell in tqdm(wanted, desc="cascade", unit="cell", mininterval=5):
        slot = run.slot("train", cell)
        if (slot.record() or {}).get("status") != "ok":
            rows.append(_about(cell) | {"quantity": "", "verdict": INCONCLUSIVE, "reason": "no good training record"})
            continue
        try:
            rows += [_about(cell) | row for row in _of_cell(run, cell, slot, device)]
        except UserFunctionError as error:
            rows.append(_about(cell) | {"quantity": "", "verdict": INCONCLUSIVE, "reason": str(error)})
    write_csv(run.folder / "cascade.csv", COLUMNS, rows)


def _of_cell(run: Run, cell: Cell, slot: Slot, device: torch.device) -> list[dict[str, Any]]:
    assert run.config.cascade is not None
    loaded = datasets.load(run.data_file(cell.dataset))
    assert isinstance(loaded, ImageData)
    denoiser = load_denoiser(cell, grid.experiment_of(run.config, cell.experiment), slot, loaded, device)
    subject = SUBJECTS[cell.process]()(denoiser, loaded)
    return measure(subject, denoiser.path, run.config.cascade)


def _about(cell: Cell) -> dict[str, Any]:
    return {name: getattr(cell, name) for name in ("process", "dataset", "path", "weighting", "target", "seed")} | {
        "cell": cell.key
    }


def measure(subject: Subject, path: Path, settings: Cascade) -> list[dict[str, Any]]:
    """Every row of one network, by draws that depend on process and data set alone."""
    scope = (path.process, subject.data.name)
    levels = subject.noise_levels(path, RANGE)
    profile = subject.profile(levels, settings.images, seeds.generator("cascade profile", *scope))
    chains = Chains(subject, (float(levels[0]), float(levels[-1])), settings, scope)
    entropy, longest = _entropy(subject), settings.steps[-1]
    rows = [row_of("entropy", "", Measured(entropy, 0.0))]
    for part in TOLD:
        index = int((levels - chains.level(part)).abs().argmin())
        found = profile.path_kl(index)
        rows.append(row_of("path_kl", subject.place(levels[index]), found, chains.path_kls(longest)[part]))
        rows.append(row_of("elbo", subject.place(levels[index]), Measured(-entropy - found.value, found.se)))
    limit = profile.path_kl(0)
    rows += [row_of("path_kl_steps", str(n), chains.path_kls(n)[0.0], limit) for n in settings.steps]
    rows += _weighted_sums(subject, path, profile, seeds.generator("cascade excess", *scope), settings.images)
    return [*rows, *chains.data_model_kls()]


# -- levels ------------------------------------------------------------------------------------------------------------


def _times(path: Path, levels: Tensor) -> Tensor:
    """The times of levels, inside `RANGE`."""
    lam = SUBJECTS[path.process]().log_snr_at(levels)
    found = invert_lam(path, lam)
    ends = torch.tensor(RANGE, dtype=torch.float64)
    return torch.where(found.isfinite(), found, torch.where(lam > 0, ends[1], ends[0])).clamp(*RANGE)


def _entropy(subject: Subject) -> float:
    """H(q) in nats of a point drawn from the set, given its class: repeated points have their weight."""
    total = 0.0
    tokens, labels = subject.data.tokens(), subject.labels
    for label in labels.unique():
        counts = tokens[labels == label].unique(dim=0, return_counts=True)[1].double()
        share = counts / counts.sum()
        total += float((labels == label).double().mean() * torch.special.entr(share).sum())
    return total


# -- Theorem 2 ---------------------------------------------------------------------------------------------------------


def _weighted_sums(
    subject: Subject, path: Path, profile: Profile, generator: Generator, images: int
) -> list[dict[str, Any]]:
    """Theorem 2 for every registered weighting of the process: the integral of PKL against the weighted excess loss."""
    weightings = [get_weighting(entry.name, path.process) for entry in registry.entries("weighting", path.process)]
    levels, pieces = profile.levels, len(profile.levels) - 1
    sums: dict[str, list[float]] = {weighting.name: [] for weighting in weightings}
    for _ in range(REPLICATES):
        # As many draws in each piece of the levels, each for the length of its piece.
        u = torch.rand(max(1, images // 8), pieces, generator=generator, dtype=torch.float64)
        drawn = (levels[:-1] + levels.diff() * u).flatten()
        excess = subject.excess(drawn, generator) * levels.diff().expand_as(u).flatten() / len(u)
        for weighting in weightings:
            sums[weighting.name].append(float((_w(path, weighting, drawn) * excess).sum()))
    rows = [_weighted_sum(path, weighting, profile, sums[weighting.name]) for weighting in weightings]
    return rows + [row for weighting in weightings for row in _terms(path, weighting, profile)]


def _weighted_sum(path: Path, weighting: Weighting, profile: Profile, sums: list[float]) -> dict[str, Any]:
    w = _w(path, weighting, profile.levels)
    left, prior = over_rows(torch.tensor(sums, dtype=torch.float64)), float(w[-1]) * profile.prior.value
    loss = Measured(left.value + prior, left.se)
    found, wrong = profile.weighted(w), profile.read_late(w)
    verdict, reason = bound_verdict(path, weighting)
    if verdict == bounds.CERTIFIED:
        verdict, reason = identity(found, loss), ""
    row = row_of("weighted_sum", weighting.name, found, loss)
    if verdict == SUPPORTED and identity(wrong, loss) != REFUTED:
        verdict, reason = INCONCLUSIVE, "the control is not refuted: no power"
    control = {"control": "PKL read a fifth of the way late", "control_verdict": identity(wrong, loss)}
    return row | control | {"verdict": verdict, "reason": reason}


def _terms(path: Path, weighting: Weighting, profile: Profile) -> list[dict[str, Any]]:
    """The weighted sum of bounds term by term, levels taken together by quarters of the way (001, Fig. 1)."""
    low, high = profile.levels[0], profile.levels[-1]
    ends = low + (high - low) * torch.linspace(0, 1, QUARTERS + 1, dtype=torch.float64)
    told = [SUBJECTS[path.process]().place(level) for level in ends]
    where = [f"{told[0]} alone", *(f"{a} to {b.partition('=')[2]}" for a, b in itertools.pairwise(told))]
    terms = profile.terms(_w(path, weighting, profile.levels), ends[1:-1])
    return [
        row_of("weighted_term", f"{weighting.name}, {at}", term, Measured(mass, 0.0))
        for at, (term, mass) in zip(where, terms, strict=True)
    ]


def _w(path: Path, weighting: Weighting, levels: Tensor) -> Tensor:
    objective = Objective(path, get_time_law("uniform"), weighting)
    return objective.weight(_times(path, levels)).double().expand(len(levels))


@functools.cache
def bound_verdict(path: Path, weighting: Weighting) -> tuple[str, str]:
    """Whether the canonical weight is a sum of bounds on `RANGE` (theory.bounds), and why."""

    def on(function: Any) -> Any:
        return lambda t: function(torch.as_tensor(t, dtype=torch.float64)).numpy()

    objective = Objective(path, get_time_law("uniform"), weighting)
    found = bounds.analyse(
        on(lambda t: objective.weight(t).expand(t.shape)), on(lambda t: log_snr(path, t)), RANGE, 20_001
    )
    return found.verdict, found.reason
