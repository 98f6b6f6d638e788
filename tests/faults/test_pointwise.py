"""Functions that look at the other times, their order or number, earlier calls, the clock or chance are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from reproflow import judge
from reproflow.cli import run as command_line
from reproflow.foundation import child_process, config
from reproflow.foundation.errors import UsageError
from reproflow.learning import preflight
from reproflow.theory import pointwise
from reproflow.theory.paths import get_path
from reproflow.theory.targets import get_target

FILE = """
import bisect, functools, math, random, time
import numpy as np
import torch

COUNT, FIRST, SEEN, OWN = [0], [], [0.0], np.random.default_rng(0)
CHANCE, CLOCK = float(np.random.default_rng().random()), time.time()
def tick(step=1e-3):
    COUNT[0] += 1
    return step * COUNT[0]
def frozen(t):
    if not FIRST:
        FIRST.append(t.max())
    return FIRST[0]
def fresh(t):
    seed = random.SystemRandom().getrandbits(40)
    return torch.randn(len(t), generator=torch.Generator().manual_seed(seed))
def running(t):
    SEEN[0] = max(SEEN[0], float(t.max()))
    return SEEN[0]

BAD = dict(
    counter=lambda t: t + tick(),
    alternating=lambda t: t * (1 + tick(1) % 2),
    time_of_day=lambda t: t * time.time(),
    largest=lambda t: t / t.max(),
    mean=lambda t: t / t.mean(),
    batch_mean=lambda t: t.mean(),
    ordered=lambda t: t.sort().values,
    ranks=lambda t: (t.argsort().argsort() + 1.0) / len(t),
    cumulated=lambda t: t.cumsum(0) / t.sum(),
    standardised=lambda t: 1 + torch.sigmoid((t - t.mean()) / (t.std(correction=0) + 1e-9)),
    neighbour=lambda t: 0.5 * (t + t.roll(1)) + 1e-3,
    by_place=lambda t: t * (1 + torch.arange(len(t)) / len(t)),
    by_number=lambda t: t * (1.0 if len(t) < 50_000 else 1.01),
    noise=lambda t: t * (1 + 1e-3 * fresh(t)),
    own_generator=lambda t: t + 1e-3 * torch.from_numpy(OWN.random(len(t))),
    first_call=lambda t: t / frozen(t),
    running_largest=lambda t: t / running(t),
    drawn_at_import=lambda t: t * (1 + CHANCE),
    clock_at_import=lambda t: t * (1 + CLOCK % 1),
    softmax=lambda t: t.softmax(0),
    window=lambda t: torch.where((t > 0.4) & (t < 0.402), t.mean(), t),
)

TABLE = torch.linspace(1, 2, 1000, dtype=torch.float64)
GRID, LEVELS = np.linspace(0, 1, 50), np.sqrt(np.linspace(0.1, 1, 50))
@functools.lru_cache
def constant(): return math.pi / 4
GOOD = dict(
    plain=lambda t: t**2 + 0.01,
    pieces=lambda t: torch.where(t < 0.3, 1.0, 2.0 * t),
    float32=lambda t: torch.cos(t.float()) * t.float().exp() + 1,
    float32_within=lambda t: 1.0 + torch.sin(37 * t.float()).double() * 0.3,
    half=lambda t: (1 + t.half()).double(),
    table=lambda t: TABLE[(t * 1000).long().clamp(0, 999)],
    interpolated=lambda t: torch.from_numpy(np.interp(t.detach().numpy(), GRID, LEVELS)),
    one_hot=lambda t: torch.nn.functional.one_hot((t * 50).long().clamp(0, 49), 50).double() @ TABLE[:50],
    single=lambda t: torch.tensor([LEVELS[bisect.bisect(GRID, float(x)) - 1] for x in t]),
    closure=lambda t: constant() * t + 0.1,
    number=lambda t: 3.0,
    cancels=lambda t: (1 - torch.cos(t)) / t**2 + 0.5,
    infinite_at_an_end=lambda t: 1 / (1 - t),
    series=lambda t: torch.stack([t**k / math.factorial(k) for k in range(8)]).sum(0),
    seeded=lambda t: t + float(torch.rand((), generator=torch.Generator().manual_seed(3))),
    in_place=lambda t: t.mul_(2).add_(1),
)

def weight(name): return lambda t, lam: name(t)
def path(name): return lambda t: (name(t), 1 - t)
def target(name): return lambda c: (c.dalpha + name(c.t), c.dsigma)
def loss(name): return lambda a, b, t, x: (1 + name(t)) * (a - b).square().sum(1)
for kind, make in (("weight", weight), ("path", path), ("target", target), ("loss", loss)):
    for name, function in (BAD | GOOD).items():
        globals()[f"{kind}_{name}"] = make(function)
for name, function in BAD.items():
    globals()[f"law_{name}"] = function
def law_float32(u): return u.float() ** 2
def second_path(t): return t, 1 - t * t.mean()
def second_target(c): return c.dalpha, c.dsigma * c.t.mean()
def law_pieces(u): return torch.where(u < 0.5, 0.5 * u, 1.5 * u - 0.5)
def law_table(u): return torch.from_numpy(np.interp(u.detach().numpy(), GRID, GRID**2))
"""
BAD = [
    "counter",
    "alternating",
    "time_of_day",
    "largest",
    "mean",
    "batch_mean",
    "ordered",
    "ranks",
    "cumulated",
    "standardised",
    "neighbour",
    "by_place",
    "by_number",
    "noise",
    "own_generator",
    "first_call",
    "running_largest",
    "drawn_at_import",
    "clock_at_import",
    "softmax",
    "window",
]
GOOD = [
    "plain",
    "pieces",
    "float32",
    "float32_within",
    "half",
    "table",
    "interpolated",
    "one_hot",
    "single",
    "closure",
    "number",
    "cancels",
    "infinite_at_an_end",
    "series",
    "seeded",
    "in_place",
]
SHORT = {"counter", "mean", "first_call"}
"""Of these training is tried in the default tests; of the others in the slow ones."""
WORDS = "function of each [tu] alone|depends on"


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every function is bound by name at the top, which is what can be read without running the file."""
    monkeypatch.chdir(tmp_path)
    made = [f"{kind}_{name}" for kind in ("weight", "path", "target", "loss") for name in BAD + GOOD]
    made += [f"law_{name}" for name in BAD]
    bound = "".join(f'{name} = globals()["{name}"]\n' for name in made)
    (tmp_path / "own.py").write_text(FILE + bound)


@pytest.mark.parametrize("name", BAD)
def test_weightings(name: str) -> None:
    with pytest.raises(UsageError, match=WORDS):
        judge.weighting(f"own.py:weight_{name}")


@pytest.mark.parametrize("name", BAD)
def test_paths_and_laws(name: str) -> None:
    for judged, kind in ((judge.path, "path"), (judge.time, "law")):
        with pytest.raises(UsageError, match=WORDS):
            judged(f"own.py:{kind}_{name}")


@pytest.mark.parametrize("name", BAD)
def test_losses(name: str) -> None:
    with pytest.raises(UsageError, match=WORDS):
        judge.divergence(f"own.py:loss_{name}")


def test_the_second_value_counts_as_the_first() -> None:
    """sigma, and b, that look at the other times, beside an alpha and an a that do not."""
    with pytest.raises(UsageError, match=WORDS):
        pointwise.check_path(get_path("own.py:second_path"))
    with pytest.raises(UsageError, match=WORDS):
        pointwise.check_target(get_target("own.py:second_target"), get_path("linear"))


def admitted(tiny_config: dict, **axes: str) -> None:
    experiment = tiny_config["experiments"][0] | {"weightings": ["uniform"]}
    for axis, function in axes.items():
        spec = {"name": "mine", "spec": f"own.py:{function}"}
        experiment[axis] = spec if axis == "divergence" else [spec]
    preflight.admit_config(config.check(tiny_config | {"experiments": [experiment]}))


@pytest.mark.parametrize("name", [n if n in SHORT else pytest.param(n, marks=pytest.mark.slow) for n in BAD])
@pytest.mark.parametrize(
    ("axis", "kind"),
    [("weightings", "weight"), ("paths", "path"), ("times", "law"), ("targets", "target"), ("divergence", "loss")],
)
def test_training_accepts_none_of_them(tiny_config: dict, axis: str, kind: str, name: str) -> None:
    with pytest.raises(UsageError, match=WORDS):
        admitted(tiny_config, **{axis: f"{kind}_{name}"})


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.default_cases(4)
def test_honest_ones_are_trained(tiny_config: dict, name: str) -> None:
    admitted(tiny_config, weightings=f"weight_{name}")
    admitted(tiny_config, divergence=f"loss_{name}")


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_honest_ones_are_judged(name: str) -> None:
    judge.weighting(f"own.py:weight_{name}")
    judge.divergence(f"own.py:loss_{name}")


@pytest.mark.parametrize("name", ["float32", "pieces", "table"])
@pytest.mark.default_cases(1)
def test_honest_laws(tiny_config: dict, name: str) -> None:
    judge.time(f"own.py:law_{name}")
    if name != "table":  # numpy cannot be differentiated, which is another matter
        admitted(tiny_config, times=f"law_{name}")


@pytest.mark.parametrize("name", ["counter", "mean"])
def test_check_and_resolve_exit_with_2(
    tiny_config: dict, name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the child, which this process plays here."""
    monkeypatch.setenv(child_process.PIPE, "-1")
    assert command_line(["check", "weighting", f"own.py:weight_{name}", "--json", "-"]) == 2
    tiny_config["experiments"][0]["weightings"] = [{"name": "mine", "spec": f"own.py:weight_{name}", "on": "x1"}]
    Path("config.json").write_text(config.dump(config.check(tiny_config)))
    assert command_line(["resolve", "--config", "config.json", "--results", "results"]) == 2
    said = capfd.readouterr()
    assert said.err.count("function of each t alone") == 2
    assert said.out == ""
