"""A user's own data set, target or coupling that breaks its promise is refused before training, by name and cure."""

from __future__ import annotations

from pathlib import Path

import pytest
from user_components import FILE, checked, own

from reproflow.cli import run as command_line
from reproflow.foundation import config
from reproflow.foundation.errors import ConfigError, UsageError
from reproflow.learning import preflight


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.py").write_text(FILE)


TARGETS = {
    "singular": r"target 'mine' with path 'linear': x1 and eps do not follow from the prediction at t = 0\.001",
    "crossing": r"x1 and eps do not follow from the prediction at t = 0\.618",
    "infinite": r"a = inf at t = 0\.001; it must be finite",
    "one": r"must give \(a, b\), it gave Tensor",
    "column": r"target 'mine' must give a real tensor of shape \(8192,\)",
    "ring": r"ring\(\) cannot be called as ring\(c\)",
}
COUPLINGS = {
    "duplicates": r"coupling 'mine' must rearrange the rows of x0, each of the 64 once: it gave \d\d different rows",
    "scaled": r"64 different rows, 64 of them not of x0",
    "short": r"of shape \(64, 2\); it gave torch.float32 of shape \(63, 2\)",
    "nothing": "it gave NoneType",
    "forgets": "draws from the global random generator",
    "counts": "pairs otherwise when it is called again",
    "mixed": r"mixed\(c\) cannot be called as mixed\(x0, x1, generator\)",
}
DATASETS = {
    "nan": r"dataset 'mine': point 7 is \[.*nan\]; points must be finite",
    "in_space": r"shape \(N, 2\); it gave torch.float32 of shape \(100, 3\)",
    "few": "has 2 points; at least 10 are needed",
    "tiny": r"standard deviations 0\.0\d+ and 0\.0\d+; they must lie in \[0\.1, 10\]",
    "flat": "standard deviations 0 and",
    "global_rng": "draws from the global random generator",
    "bad_draw": r"shape \(4096, 2\); it gave torch.float32 of shape \(4096, 3\)",
    "nan_draw": "points must be finite",
    "changing": "draws other points from the same generator",
    "bad_density": r"log_density must map points \(256, 2\) to numbers \(256,\)",
    "text": "it gave str",
    "pictures": "your own images cannot be trained on yet",
    "small": None,
    "needs": r"needs\(n\) cannot be called as needs\(\)",
}


@pytest.mark.parametrize(
    ("key", "function", "message"),
    [("targets", *item) for item in TARGETS.items()]
    + [("coupling", *item) for item in COUPLINGS.items()]
    + [("dataset", *item) for item in DATASETS.items()],
)
def test_refusals(tiny_config: dict, key: str, function: str, message: str | None) -> None:
    value = [own(function)] if key == "targets" else own(function)
    if message is None:
        preflight.admit_config(checked(tiny_config, **{key: value}))
        return
    with pytest.raises(UsageError, match=message):
        preflight.admit_config(checked(tiny_config, **{key: value}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "my.py:ring"}, "give it a name"),
        ({"dataset": {"name": "pinwheel", "spec": "my.py:ring"}}, "'pinwheel' is a registered dataset"),
        ({"dataset": {"name": "mine", "spec": "expr:1"}}, "no expression can be a dataset"),
        ({"targets": [{"name": "mine", "spec": "expr:1"}]}, "no expression can be a target"),
        ({"targets": [own("mixed", "eps")]}, "'eps' is a registered target"),
        ({"targets": [own("mixed"), own("crossing")]}, "names two things"),
        ({"coupling": own("sorted_", "ot")}, "'ot' is a registered coupling"),
        ({"coupling": own("nowhere")}, "has no function 'nowhere'"),
        ({"coupling": own("sorted_"), "sampling": {"solver": "sde", "steps": 4, "n": 64}}, "with coupling 'mine'"),
        (
            {"dataset": own("ring"), "process": "masked", "sampling": {"solver": "ancestral", "steps": 4, "n": 64}},
            "your own images cannot be trained on yet",
        ),
    ],
)
def test_what_a_configuration_refuses_without_running_anything(tiny_config: dict, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(tiny_config, **changes)


def test_more_points_than_are_held_out(tiny_config: dict) -> None:
    opened = checked(tiny_config, dataset=own("small"), likelihood={"points": 201, "steps": 25})
    with pytest.raises(UsageError, match=r"likelihood.points 201: mine holds out 200 points"):
        preflight.admit_config(opened)


def test_one_name_is_one_data_set(tiny_config: dict) -> None:
    first = tiny_config["experiments"][0] | {"dataset": own("ring")}
    second = first | {"name": "other", "dataset": own("sampler")}
    with pytest.raises(ConfigError, match="dataset 'mine' names two functions"):
        config.check(tiny_config | {"experiments": [first, second]})


@pytest.mark.parametrize(("key", "function"), [("targets", "singular"), ("coupling", "duplicates"), ("dataset", "nan")])
@pytest.mark.default_cases(1)
def test_resolve_refuses_with_exit_2(
    tiny_config: dict, key: str, function: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """In a child process, as before the first job of a run."""
    value = [own(function)] if key == "targets" else own(function)
    opened = checked(tiny_config, **{key: value})
    Path("config.json").write_text(config.dump(opened))
    assert command_line(["resolve", "--config", "config.json", "--results", "results"]) == 2
    assert "'mine'" in capfd.readouterr().err
    assert not Path("results/config.json").exists()
