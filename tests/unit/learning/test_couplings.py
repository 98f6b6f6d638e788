"""Couplings: optimal transport against other solvers, given pairs, and Reflow from end to end."""

from __future__ import annotations

import copy
import itertools
import json
from pathlib import Path

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from reproflow import cli
from reproflow.foundation import config, fingerprint, grid
from reproflow.foundation.errors import ConfigError, UsageError
from reproflow.foundation.run import Run
from reproflow.learning import data, trained
from reproflow.learning.data import coupled_pairs
from reproflow.learning.sampling import ode, reflow
from reproflow.learning.training import shard
from reproflow.learning.training.batches import Batches
from reproflow.theory.couplings import couple, get_coupling

CPU = torch.device("cpu")


def cloud(n: int, dim: int, seed: int = 0) -> tuple[Tensor, Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, dim, generator=generator), 2 + torch.randn(n, dim, generator=generator), generator


def cost(x0: Tensor, x1: Tensor) -> float:
    return float((x0.double() - x1.double()).square().sum())


def sorted_rows(x: Tensor) -> list[list[float]]:
    return sorted(x.tolist())


@pytest.mark.parametrize(("n", "dim"), [(2, 1), (64, 2), (100, 64)])
def test_ot_costs_what_the_assignment_problem_costs(n: int, dim: int) -> None:
    x0, x1, generator = cloud(n, dim)
    paired = get_coupling("ot")(x0, x1, generator)
    assert sorted_rows(paired) == sorted_rows(x0)
    table = (x1.double()[:, None] - x0.double()[None]).square().sum(-1).numpy()
    assert cost(paired, x1) == pytest.approx(table[linear_sum_assignment(table)].sum(), rel=1e-12)
    assert cost(paired, x1) < 0.99 * cost(x0, x1)
    assert torch.equal(paired, get_coupling("ot")(x0, x1, generator)), "deterministic"


def test_ot_beats_every_permutation() -> None:
    x0, x1, generator = cloud(5, 3)
    best = min(itertools.permutations(range(5)), key=lambda order: cost(x0[list(order)], x1))
    assert torch.equal(get_coupling("ot")(x0, x1, generator), x0[list(best)])


def test_ot_of_equal_points_is_still_a_permutation() -> None:
    x0, _, generator = cloud(16, 2)
    paired = get_coupling("ot")(x0, torch.ones(16, 2), generator)
    assert sorted_rows(paired) == sorted_rows(x0)


def test_independent_moves_nothing() -> None:
    x0, x1, generator = cloud(8, 2)
    assert get_coupling("independent")(x0, x1, generator) is x0


def test_noise_stays_independent_of_the_label() -> None:
    """Two classes at -3 and 3: rearranged within classes their noise has one mean, rearranged over all it has not."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(256) % 2
    x0, x1 = torch.randn(256, 1, generator=generator), 6.0 * y[:, None] - 3
    x1 = x1 + 0.1 * torch.randn(256, 1, generator=generator)
    within = couple(get_coupling("ot"), x0, x1, y, generator)
    over_all = couple(get_coupling("ot"), x0, x1, None, generator)
    for label in (0, 1):
        assert sorted_rows(within[y == label]) == sorted_rows(x0[y == label])
        # In one dimension the optimal pairing keeps the order.
        assert torch.equal(within[y == label][x1[y == label, 0].argsort()], x0[y == label].sort(0).values)
    assert float(over_all[y == 1].mean() - over_all[y == 0].mean()) > 1
    assert abs(float(within[y == 1].mean() - within[y == 0].mean())) < 0.4


def open_run(raw: dict, folder: Path) -> Run:
    return Run(config.check(raw), folder)


def batch(raw: dict, step: int = 3) -> dict[str, Tensor]:
    checked = config.check(raw)
    experiment = checked.experiments[0]
    points = data.get_dataset(experiment.dataset, experiment.process)
    return Batches(grid.expand(checked), experiment, points, CPU).batch(step)


def test_a_batch_keeps_its_data_and_rearranges_its_noise(tiny_config: dict) -> None:
    plain = batch(tiny_config)
    tiny_config["experiments"][0]["coupling"] = "ot"
    paired = batch(tiny_config)
    for name in plain:
        assert torch.equal(plain[name], paired[name]) == (name != "eps")
    for member in range(len(plain["eps"])):
        assert sorted_rows(plain["eps"][member]) == sorted_rows(paired["eps"][member])
        wanted = get_coupling("ot")(plain["eps"][member], plain["x1"][member], torch.Generator())
        assert torch.equal(paired["eps"][member], wanted)


@pytest.fixture
def paired_file(tmp_path: Path) -> Path:
    x0, x1, _ = cloud(50, 2)
    coupled_pairs.write(tmp_path / "given.safetensors", x0, x1, None, {})
    return tmp_path / "given.safetensors"


def test_given_pairs_stay_pairs(tiny_config: dict, paired_file: Path) -> None:
    tiny_config["experiments"][0] |= {"coupling": str(paired_file), "seeds": [0, 1]}
    known = coupled_pairs.load(paired_file, data.get_dataset("eight_gaussians"))
    rows = {tuple(row) for row in torch.cat([known.x0, known.x1], 1).tolist()}
    drawn = batch(tiny_config)
    found = torch.cat([drawn["eps"], drawn["x1"]], -1)
    assert {tuple(row) for row in found.flatten(0, 1).tolist()} <= rows
    assert len({tuple(row) for row in found[0].tolist()}) > 15
    assert not torch.equal(found[0], found[1]), "two seeds draw other pairs"


def test_pairs_enter_key_and_fingerprint_by_content(tiny_config: dict, paired_file: Path, tmp_path: Path) -> None:
    def identity(coupling: Path) -> tuple[str, str]:
        tiny_config["experiments"][0]["coupling"] = str(coupling)
        checked = config.check(copy.deepcopy(tiny_config))
        cell = grid.expand(checked)[0]
        return cell.key, fingerprint.stage(checked, cell, "train").value

    elsewhere = tmp_path / "other name, with a comma.safetensors"
    elsewhere.write_bytes(paired_file.read_bytes())
    here = identity(paired_file)
    assert here == identity(elsewhere)
    assert ".pairs~" in here[0]
    x0, x1, _ = cloud(50, 2, seed=1)
    coupled_pairs.write(elsewhere, x0, x1, None, {})
    there = identity(elsewhere)
    assert here[0] != there[0]
    assert here[1] != there[1]


def test_labels_of_pairs_travel(tmp_path: Path) -> None:
    digits = data.get_dataset("digits8")
    x1, y = digits.points()[:40], digits.labels()[:40]
    coupled_pairs.write(tmp_path / "d.safetensors", torch.randn(40, 64), x1, y, {})
    drawn = coupled_pairs.load(tmp_path / "d.safetensors", digits).draw(100, torch.Generator().manual_seed(0))
    index = (drawn["x1"][:, None] == x1).all(-1).int().argmax(1)
    assert torch.equal(drawn["y"], y[index])


def bad_files(folder: Path) -> dict[str, Path]:
    """What `pairs.load` must refuse, by a word of its reason."""
    x0, x1, _ = cloud(8, 2)
    nan, none = x1.clone(), torch.zeros(0, 2)
    nan[3, 1] = torch.nan
    cases = {
        "shape": {"x0": x0, "x1": x1[:7]},
        "(N, 2)": {"x0": cloud(8, 3)[0], "x1": cloud(8, 3)[1]},
        "N > 0": {"x0": none, "x1": none},
        "x1": {"x0": x0},
        "finite": {"x0": x0, "x1": nan},
        "floating-point": {"x0": x0, "x1": x1.int()},
        "y must be": {"x0": x0, "x1": x1, "y": torch.arange(7)},
    }
    files = {}
    for index, (word, tensors) in enumerate(cases.items()):
        files[word] = folder / f"bad{index}.safetensors"
        data.tensor_files.write_tensors(files[word], tensors, {"kind": "pairs"})
    files["not pairs"] = folder / "samples.safetensors"
    data.tensor_files.write_tensors(files["not pairs"], {"x0": x0, "x1": x1}, {"kind": "samples"})
    files["not a readable"] = folder / "noise.safetensors"
    files["not a readable"].write_bytes(b"no tensors at all")
    return files


def test_bad_pairs_are_refused_before_training(tiny_config: dict, tmp_path: Path) -> None:
    for word, file in bad_files(tmp_path).items():
        tiny_config["experiments"][0]["coupling"] = str(file)
        with pytest.raises(UsageError) as caught:
            batch(tiny_config)
        assert word in str(caught.value), (word, str(caught.value))
        assert str(file) in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 3


def test_labels_must_be_there_for_classes(tmp_path: Path) -> None:
    coupled_pairs.write(tmp_path / "d.safetensors", torch.randn(4, 64), torch.randn(4, 64), None, {})
    with pytest.raises(UsageError, match="no labels y"):
        coupled_pairs.load(tmp_path / "d.safetensors", data.get_dataset("digits8"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coupling": "optimal"}, "unknown gaussian coupling"),
        ({"coupling": "nowhere.safetensors"}, "no such file in"),
        ({"coupling": "ot", "process": "masked", "dataset": "digits8", "paths": ["cosine"]}, "pairs no noise"),
        ({"coupling": "GIVEN", "dataset": "digits8", "targets": ["x1"]}, "not on grey levels"),
    ],
)
def test_the_configuration_refuses(tiny_config: dict, paired_file: Path, change: dict, message: str) -> None:
    tiny_config["experiments"][0] |= change | {"weightings": ["elbo"]}
    if change["coupling"] == "GIVEN":
        tiny_config["experiments"][0]["coupling"] = str(paired_file)
    with pytest.raises(ConfigError, match=message) as caught:
        config.check(tiny_config)
    assert len(str(caught.value).splitlines()) <= 3


def test_reflow_straightens_and_shuffled_pairs_do_not(tiny_config: dict, tmp_path: Path, capsys) -> None:
    """TUT-8 on two-dimensional data, by the command line: train, pairs, train again; the control breaks the pairing."""
    raw = tiny_config | {"experiments": [tiny_config["experiments"][0] | {"weightings": ["uniform"]}]}
    raw["experiments"][0] |= {
        "model": {"width": 32, "depth": 3},
        "training": {"steps": 300, "batch": 128, "lr": 5e-3, "warmup": 20, "save_every": 300},
        "sampling": {"solver": "heun", "steps": 16},
    }
    points, x0 = data.get_dataset("eight_gaussians"), torch.randn(500, 2, generator=torch.Generator().manual_seed(1))

    def flow(coupling: str, folder: str):
        results = open_run(raw | {"experiments": [raw["experiments"][0] | {"coupling": coupling}]}, tmp_path / folder)
        cell, experiment = grid.expand(results.config)[0], results.config.experiments[0]
        shard.train(experiment, [(cell, results.slot("train", cell))], points, CPU)
        denoiser = trained.load_denoiser(cell, experiment, results.slot("train", cell), points, CPU)
        ends = ode.sample_gaussian(denoiser, x0, None, experiment.training.t_range, "heun", 32)[0]
        return results, cell, ends, reflow.straightness(denoiser, x0, None, experiment.training.t_range)

    results, cell, ends, curved = flow("independent", "first")
    (results.folder / "config.json").write_text(config.dump(results.config))
    data.prepare("eight_gaussians", results.data_file("eight_gaussians"))
    file = tmp_path / "pairs.safetensors"
    arguments = ["pairs", cell.key, "--results", str(results.folder), "--n", "5000", "--out", str(file)]
    assert cli.run(arguments) == 0
    given = coupled_pairs.load(file, points)
    assert capsys.readouterr().out.strip() == data.digest({"x0": given.x0, "x1": given.x1})

    order = torch.randperm(5000, generator=torch.Generator().manual_seed(2))
    coupled_pairs.write(tmp_path / "shuffled.safetensors", given.x0[order], given.x1, None, {})
    _, _, reflowed, straight = flow(str(file), "second")
    _, _, _, shuffled = flow(str(tmp_path / "shuffled.safetensors"), "control")
    assert straight < 0.05 * curved
    assert straight < 0.05 * shuffled
    assert shuffled > 0.5 * curved, "independent pairs: S stays about what it was"
    # Straight, and to the same places: a flow that stood still would be straight too.
    assert float((reflowed - ends).square().sum(-1).mean()) < 0.1 * float((ends - x0).square().sum(-1).mean())


def test_pairs_of_the_command_line_are_refused_in_words(tmp_path: Path, tiny_config: dict, capsys) -> None:
    (tmp_path / "config.json").write_text(json.dumps(tiny_config))
    key = grid.expand(config.check(tiny_config))[0].key
    for arguments, words in (
        ([key, "--out", "a.txt"], "FILE.safetensors"),
        ([key, "--out", "a.safetensors"], "no good train record"),
        (["another", "--out", "a.safetensors"], "no cell 'another'"),
    ):
        assert cli.run(["pairs", *arguments, "--results", str(tmp_path)]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(("label", "fits"), [(0, True), (9, True), (10, False), (-1, False)])
def test_labels_of_pairs_are_classes_of_the_data(label: int, fits: bool, tmp_path: Path) -> None:
    images, x = data.get_dataset("digits8"), torch.zeros(3, 64)
    coupled_pairs.write(tmp_path / "pairs.safetensors", x, x.clone(), torch.tensor([0, label, 1]), {})
    if fits:
        loaded = coupled_pairs.load(tmp_path / "pairs.safetensors", images)
        assert loaded.y is not None
        assert loaded.y.tolist() == [0, label, 1]
    else:
        with pytest.raises(UsageError, match="whole numbers from 0 to 9"):
            coupled_pairs.load(tmp_path / "pairs.safetensors", images)
