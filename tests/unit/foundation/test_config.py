"""The configuration is closed: whatever is wrong is named with file, key, value and cure (faults 2-5, 9)."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import yaml

from reproflow.foundation import config, grid
from reproflow.foundation.errors import ConfigError


def change(raw: dict, where: str, value: object) -> dict:
    """A copy with one key of the first experiment replaced; dots lead into sections."""
    raw = copy.deepcopy(raw)
    *sections, key = where.split(".")
    place = raw["experiments"][0]
    for section in sections:
        place = place.setdefault(section, {})
    place[key] = value
    return raw


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ("weigthings", ["elbo"], ["weigthings", "did you mean 'weightings'"]),
        ("training.stesp", 5, ["training.stesp", "did you mean 'steps'"]),
        ("weightings", ["minsnr"], ["minsnr", "did you mean 'min_snr'", "known:", "elbo"]),
        ("weightings", ["min_snr:gama=3"], ["gama", "did you mean 'gamma'"]),
        ("weightings", ["min_snr:gamma=-1"], ["gamma", "-1", "(0, inf)"]),
        ("weightings", ["min_snr:gamma=0"], ["gamma = 0", "(0, inf)"]),
        ("weightings", ["min_snr:gamma=nan"], ["gamma=nan", "finite"]),
        ("weightings", ["min_snr:gamma=3", "min_snr:gamma=3.0"], ["twice"]),
        ("weightings", ["simple"], ["simple"]),
        ("weightings", [], ["weightings", "at least 1"]),
        ("training.steps", 0, ["training.steps", "greater than or equal to 1", "0"]),
        ("training.lr", "5", ["training.lr", "valid number", "'5'"]),
        ("training.lr", float("nan"), ["training.lr", "nan"]),
        ("training.ema", 1.0, ["training.ema", "less than 1"]),
        ("training.batch", 50, ["multiples of 16", "invariant: false"]),
        ("training.t_range", [0.9, 0.1], ["t_range", "low < high"]),
        ("training.t_range", [0.5, 0.5], ["t_range", "low < high"]),
        ("training.warmup", 40, ["warmup 40", "below steps 40"]),
        ("measures", ["precision"], ["'precision'", "do not have"]),
        ("seeds", [], ["seeds"]),
        ("seeds", [1, 1], ["seeds [1, 1]", "once"]),
        ("seeds", [1, -1], ["experiments[0]", "seeds[1]", "greater than or equal to 0"]),
        ("sampling.solver", "ancestral", ["ancestral", "euler, heun, rk4"]),
        ("sampling.solver", "hune", ["solver", "heun"]),
        ("targets", ["velicity"], ["velicity", "did you mean 'velocity'"]),
        ("dataset", "digits9", ["digits9", "did you mean 'digits8'"]),
        ("process", "masked", ["masked"]),
        ("name", "a,b", ["name"]),
    ],
)
def test_what_is_wrong_is_named(tiny_config: dict, where: str, value: object, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        config.check(change(tiny_config, where, value), "my.yaml")
    message = str(caught.value)
    assert message.startswith("my.yaml")
    assert len(message.splitlines()) <= 3
    for word in words:
        assert word in message


@pytest.mark.parametrize(("coupling", "eta", "fits"), [("ot", 0.5, False), ("ot", 0, True), ("independent", 0.5, True)])
def test_noise_is_added_where_data_and_noise_are_independent(
    tiny_config: dict, coupling: str, eta: float, fits: bool
) -> None:
    raw = change(change(tiny_config, "coupling", coupling), "sampling.solver", "sde")
    raw = change(raw, "sampling.eta", eta)
    if fits:
        config.check(raw)
    else:
        with pytest.raises(ConfigError, match="for independent pairs only; use heun"):
            config.check(raw)


@pytest.mark.parametrize("steps", [[8, "16"], [8, None], [32, 16], [8, 12], [6, 16], [8, 8, 16], [8, [16]], []])
def test_steps_of_the_cascade_are_rising_multiples(steps: list, tiny_config: dict) -> None:
    with pytest.raises(ConfigError, match=r"cascade\.steps"):
        config.check({**tiny_config, "cascade": {"steps": steps}})


def test_invariance_may_be_given_up(tiny_config: dict) -> None:
    raw = change(change(tiny_config, "training.batch", 50), "training.invariant", False)
    assert config.check(raw).experiments[0].training.batch == 50


def test_numbers_with_exponents_are_numbers(tiny_config: dict) -> None:
    """YAML 1.1 reads 2e-3 as text."""
    assert yaml.safe_load("2e-3") == "2e-3"
    assert config.check(change(tiny_config, "training.lr", "2e-3")).experiments[0].training.lr == 2e-3


def test_a_key_written_twice_is_refused(tmp_path) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text("name: a\nname: b\n")
    with pytest.raises(ConfigError, match="'name' is written twice"):
        config.load(file)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "name: [unclosed", "name: x"])
def test_files_that_are_no_configuration(tmp_path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        config.load(file)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml"):
        config.load("nowhere.yaml")


def test_dump_is_the_same_configuration(tiny_config: dict, tmp_path) -> None:
    checked = config.check(tiny_config)
    file = tmp_path / "config.json"
    file.write_text(config.dump(checked))
    assert config.load(file) == checked


@pytest.mark.parametrize("name", ["demo", "ci", "digits", "paper"])
def test_committed_configurations_are_valid(name: str) -> None:
    assert grid.expand(config.load(f"configs/{name}.yaml"))


def test_the_papers_grid_is_over_the_whole_registry() -> None:
    from reproflow.foundation import names

    paper = config.load("configs/paper.yaml")
    for process in ("gaussian", "masked"):
        own = [each for each in paper.experiments if each.process == process]
        for kind, axis in (("weighting", "weightings"), ("path", "paths"), ("time", "times")):
            if process == "masked" and kind != "weighting":
                continue
            used = {config.parse(item, kind).name for each in own for item in getattr(each, axis)}
            assert {each.name for each in names.known() if (each.kind, each.process) == (kind, process)} <= used
    assert all(len(each.seeds) == 10 and each.sampling.n >= 5000 for each in paper.experiments)
    assert {each.dataset for each in paper.experiments} == {
        each.name for each in names.known() if each.kind == "dataset"
    }


class TestGrid:
    def test_cells_are_the_product(self, tiny_config: dict) -> None:
        cells = grid.expand(config.check(change(tiny_config, "seeds", [0, 3])))
        assert len(cells) == 1 * 1 * 3 * 1 * 2
        assert len({cell.key for cell in cells}) == len(cells)

    def test_an_empty_selection_is_an_error(self, tiny_config: dict) -> None:
        with pytest.raises(ConfigError, match="0 cells selected"):
            grid.expand(config.check(change(tiny_config, "only", ["*nothing*"])))

    def test_a_selection_selects(self, tiny_config: dict) -> None:
        cells = grid.expand(config.check(change(tiny_config, "only", ["*.elbo.*"])))
        assert [str(cell.weighting) for cell in cells] == ["elbo"]

    def test_a_key_over_200_characters_is_refused_by_the_grid(self, tiny_config: dict) -> None:
        crowded = "vp:beta_max=" + "1" * 5 + ".12345e-100,beta_min=" + "2" * 5 + ".12345e-100"
        monstrous = change(tiny_config, "paths", [crowded])
        assert grid.expand(config.check(monstrous)), "the control: a crowded key still fits"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(grid.specs, "SLUG", re.compile(r"[a-z0-9_.~+-]{1,40}"))
            with pytest.raises(ConfigError, match="does not match"):
                grid.expand(config.check(monstrous))

    def test_unsafe_characters_are_no_slug(self) -> None:
        from reproflow.foundation.specs import SLUG

        assert not SLUG.fullmatch("a" * 201)
        for character in ", /=:*":
            assert not SLUG.fullmatch(f"a{character}b")

    @pytest.mark.parametrize("name", ["demo", "ci", "digits", "paper"])
    def test_keys_are_safe_in_files_and_wildcards(self, name: str) -> None:
        from reproflow.foundation.specs import SLUG

        for cell in grid.expand(config.load(f"configs/{name}.yaml")):
            assert SLUG.fullmatch(cell.key)

    @pytest.mark.parametrize("size", [1, 2, 3, 64])
    def test_shards_hold_every_cell_once(self, tiny_config: dict, size: int) -> None:
        checked = config.check(change(tiny_config, "shard_size", size))
        shards = grid.shards(checked)
        assert [cell for part in shards.values() for cell in part] == grid.expand(checked)
        assert all(len(part) <= size for part in shards.values())

    def test_cells_of_two_targets_are_not_stacked(self, tiny_config: dict) -> None:
        checked = config.check(change(tiny_config, "targets", ["velocity", "x1", "eps"]))
        shards = grid.shards(checked)
        assert [{cell.target for cell in part} for part in shards.values()] == [{"velocity"}, {"x1"}, {"eps"}]
        assert {cell.key for part in shards.values() for cell in part} == {cell.key for cell in grid.expand(checked)}

    @pytest.mark.parametrize(("key", "value"), [("divergence", "huber"), ("coupling", "ot"), ("targets", ["x1"])])
    def test_cells_that_differ_have_other_keys(self, tiny_config: dict, key: str, value: object) -> None:
        usual = change(tiny_config, "weightings", ["uniform"])
        keys = [grid.expand(config.check(each))[0].key for each in (usual, change(usual, key, value))]
        assert keys[0] != keys[1]
        assert (value[0] if isinstance(value, list) else value) in keys[1]

    def test_two_experiments_may_not_share_a_cell(self, tiny_config: dict) -> None:
        second = copy.deepcopy(tiny_config["experiments"][0]) | {"name": "again"}
        tiny_config["experiments"].append(second)
        with pytest.raises(ConfigError, match="two experiments contain the cell"):
            grid.expand(config.check(tiny_config))


def test_a_mapping_may_take_in_another(tmp_path: Path) -> None:
    """YAML's `<<`: the keys written beside it count, and a key written twice is still refused."""
    file = tmp_path / "c.yaml"
    text = """
name: c
experiments:
  - {name: a, process: gaussian, dataset: eight_gaussians, paths: [linear], weightings: [elbo], seeds: [0],
     training: &own {steps: 200, lr: 1e-2}}
  - {name: b, process: gaussian, dataset: eight_gaussians, paths: [linear], weightings: [fm], seeds: [0],
     training: {<<: *own, steps: 300}}
"""
    file.write_text(text)
    found = config.load(file).experiments
    assert [(each.training.steps, each.training.lr) for each in found] == [(200, 0.01), (300, 0.01)]
    file.write_text(text.replace("steps: 300", "steps: 300, steps: 400"))
    with pytest.raises(ConfigError, match="written twice"):
        config.load(file)
