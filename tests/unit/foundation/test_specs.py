"""Specs: what a user may write for a noun, and what is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reproflow.foundation import config, fingerprint, grid, specs, user_files
from reproflow.foundation.errors import ConfigError, UsageError

MINE = '''
import torch
HALF = 0.5
def helper(lam): return -HALF * lam
def weight(t, lam, k=1.0):
    """A weighting."""
    return torch.exp(k * helper(lam))
def other(t, lam): return t
alias = weight
def two(t): return t, 1 - t
def greedy(t, lam, needed, *, also): return t
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


@pytest.mark.parametrize(
    ("text", "name", "params", "source"),
    [
        ("elbo", "elbo", (), ""),
        ("min_snr:gamma=3", "min_snr", (("gamma", 3.0),), ""),
        ("beta: b=2 , a=1e-1", "beta", (("a", 0.1), ("b", 2.0)), ""),
        ("a/b.py:f", "a/b.py:f", (), "a/b.py:f"),
        ("../my file.py:f_1:k=-2", "../my file.py:f_1:k=-2", (("k", -2.0),), "../my file.py:f_1"),
        ("expr:exp(-lam/2)", "expr:exp(-lam/2)", (), "expr:exp(-lam/2)"),
    ],
)
def test_forms(text: str, name: str, params: tuple, source: str) -> None:
    spec = specs.parse(text)
    assert (spec.name, spec.params, spec.source) == (name, params, source)


def test_parts_of_a_function_spec() -> None:
    spec = specs.parse({"name": "ours", "spec": "a/b.py:f:k=2", "on": "x1"})
    assert (spec.name, spec.file, spec.function, spec.on, spec.slug, str(spec)) == (
        "ours", "a/b.py", "f", "x1", "ours", "ours",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["", "a b", "min_snr:gamma", "min_snr:gamma=x", "min_snr:gamma=nan", "k:a=1,a=2", 3])
def test_bad_forms(text: object) -> None:
    with pytest.raises(UsageError, match=r"none of name|not param=finite"):
        specs.parse(text)


class TestUserFile:
    def test_defaults_are_read_without_running(self, mine: Path) -> None:
        mine.write_text(MINE + "\nraise SystemExit('run')\n")
        assert user_files.parameters("weighting", specs.parse("mine.py:weight")) == {"k": 1.0}

    @pytest.mark.parametrize(
        ("spec", "message"),
        [
            ("none.py:f", r"no file none\.py"),
            ("mine.py:wieght", r"no function 'wieght'; did you mean 'weight'"),
            ("mine.py:two", r"two\(t\) cannot be called as two\(t, lam\)"),
            ("mine.py:greedy", r"greedy\(t, lam, needed, \*, also\) cannot be called"),
            ("mine.py:weight:j=2", r"no parameter 'j'.*known: k"),
        ],
    )
    def test_refusals(self, mine: Path, spec: str, message: str) -> None:
        with pytest.raises(UsageError, match=message):
            user_files.check("weighting", specs.parse(spec), "gaussian")

    def test_a_syntax_error_has_its_line(self, mine: Path) -> None:
        mine.write_text("def f(t, lam):\n    return (t\n")
        with pytest.raises(UsageError, match=r"mine\.py, line 2.*not valid Python"):
            user_files.check("weighting", specs.parse("mine.py:f"), "gaussian")


def change(tiny: dict, **values: object) -> config.Config:
    tiny["experiments"][0].update(values)
    return config.check(tiny)


class TestInConfigurations:
    def test_a_named_function_is_a_cell(self, mine: Path, tiny_config: dict) -> None:
        own = [{"name": "ours", "spec": "mine.py:weight:k=2", "on": "x1"}, {"name": "half", "spec": "expr:exp(-lam/2)"}]
        checked = change(
            tiny_config, weightings=["elbo", *own], paths=["linear", {"name": "two", "spec": "mine.py:two"}]
        )
        keys = [cell.key for cell in grid.expand(checked)]
        assert "eight_gaussians.gaussian.linear.uniform.ours.velocity.s0" in keys
        assert "eight_gaussians.gaussian.two.uniform.half.velocity.s0" in keys
        again = config.check(json.loads(config.dump(checked)))
        assert grid.expand(again) == grid.expand(checked)

    @pytest.mark.parametrize(
        ("weightings", "message"),
        [
            (["mine.py:weight"], "give it a name"),
            (["expr:1"], "give it a name"),
            ([{"name": "elbo", "spec": "expr:1"}], "registered weighting; give yours another name"),
            ([{"name": "a", "spec": "expr:1"}, {"name": "a", "spec": "expr:2"}], "names two things"),
            ([{"name": "a", "spec": "expr:1", "on": "ce"}], "not a gaussian prediction"),
            ([{"name": "a", "spec": "expr:1", "no": "x1"}], "unknown key.*did you mean 'on'"),
            ([{"name": "A b", "spec": "expr:1"}], "should match pattern"),
            ([{"name": "a", "spec": "elbo"}], "registered name; write it without"),
            ([{"name": "a", "spec": "expr:__import__('os').system('x')"}], "not allowed"),
            ([{"name": "a", "spec": "nowhere.py:f"}], "no file nowhere.py"),
        ],
    )
    def test_refusals(self, mine: Path, tiny_config: dict, weightings: list, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            change(tiny_config, weightings=weightings)


class TestFingerprints:
    def parts(self, tiny: dict, **values: object) -> list[str]:
        fingerprint.forget()
        checked = change(tiny, **values)
        return [fingerprint.stage(checked, cell, "train").value for cell in grid.expand(checked)]

    def test_follow_the_function_and_what_it_reaches(self, mine: Path, tiny_config: dict) -> None:
        own = [{"name": "ours", "spec": "mine.py:weight", "on": "x1"}]
        before = self.parts(tiny_config, weightings=own)
        mine.write_text(
            MINE.replace("A weighting.", "Another text.") + "\n# a remark\ndef unused(t, lam): return lam\n"
        )
        assert self.parts(tiny_config, weightings=own) == before
        mine.write_text(MINE.replace("HALF = 0.5", "HALF = 0.4"))
        assert self.parts(tiny_config, weightings=own) != before
        mine.write_text(MINE + "\nweight = other\n")
        assert self.parts(tiny_config, weightings=own) != before

    def test_follow_a_module_beside(self, mine: Path, tiny_config: dict) -> None:
        mine.write_text("from beside import g\ndef weight(t, lam): return g(lam)\n")
        beside = mine.with_name("beside.py")
        beside.write_text("def g(lam): return lam * 0 + 1\n")
        own = [{"name": "ours", "spec": "mine.py:weight", "on": "x1"}]
        before = self.parts(tiny_config, weightings=own)
        beside.write_text("def g(lam): return lam * 0 + 2\n")
        assert self.parts(tiny_config, weightings=own) != before

    def test_do_not_follow_the_folder(self, mine: Path, tiny_config: dict) -> None:
        before = self.parts(tiny_config, weightings=[{"name": "ours", "spec": "mine.py:weight", "on": "x1"}])
        (mine.parent / "sub").mkdir()
        mine.rename(mine.parent / "sub" / "mine.py")
        assert (
            self.parts(tiny_config, weightings=[{"name": "ours", "spec": "sub/mine.py:weight", "on": "x1"}]) == before
        )

    def test_follow_what_is_multiplied_parameters_and_expressions(self, mine: Path, tiny_config: dict) -> None:
        versions = [
            {"name": "w", "spec": "mine.py:weight", "on": "x1"},
            {"name": "w", "spec": "mine.py:weight", "on": "eps"},
            {"name": "w", "spec": "mine.py:weight:k=2", "on": "eps"},
            {"name": "w", "spec": "expr:exp(-lam)", "on": "eps"},
            {"name": "w", "spec": "expr:exp(-lam/2)", "on": "eps"},
        ]
        found = [self.parts(tiny_config, weightings=[version])[0] for version in versions]
        assert len(set(found)) == len(found)
        spaced = {"name": "w", "spec": "expr: exp( (-lam) / 2 )", "on": "eps"}
        assert self.parts(tiny_config, weightings=[spaced])[0] == found[-1]
