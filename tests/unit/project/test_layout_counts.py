"""The counts of the layout: for every rule a source that it counts and one that it must not."""

from __future__ import annotations

from pathlib import Path

import layout_counts
import pytest
from layout_counts import PACKAGE_RULES
from layout_sources import Source, sources
from repository import ROOT


def count(rule: str, text: str, path: str = "reproflow/judge/mass.py") -> int:
    return len(PACKAGE_RULES[rule]([Source(path, text)]))


COUNTED = {
    "triples": [
        "def mass(path: Path, law: TimeLaw, weighting: Weighting, t: Tensor): ...",
        "def mass(path, *, time, weight): ...",
        "def of(path: Path, laws: list[TimeLaw], weightings: list[Weighting]): ...",
        "class Objective:\n    path: Path\n    law: TimeLaw\n    weighting: 'Weighting'",
    ],
    "doors": [
        "def weighting(spec: str, path: str | Spec, time: str | Spec, weighting: str): ...",
        "class Entry:\n    path: str\n    time: str\n    weighting: Annotated[str, help(Weighting)]",
        "class Experiment:\n    paths: Specs\n    times: Specs = ['uniform']\n    weightings: Specs",
    ],
    "triple_calls": [
        "mass(path, law, weighting, t)",
        "mass(c.path, c.law, c.weighting)",
        "mass(get_path('linear'), get_time_law('uniform'), get_weighting('elbo'))",
        "Objective(path=a, law=b, weighting=c)",
    ],
    "process_strings": [
        "cell.process == 'masked'",
        "'gaussian' != process",
        "(cell.process, cell.target) == ('gaussian', 'x1')",
        "process in ('gaussian', 'other')",
        "match process:\n    case 'masked': pass",
    ],
    "process_tables": [
        "STEPS = {'gaussian': 1, 'masked': 2}",
        "STEPS['masked']",
        "STEPS.get('masked', 3)",
    ],
    "process_classes": ["isinstance(x, MaskedDenoiser)", "isinstance(x, (int, gaussian.GaussianPath))"],
    "head_kinds": ["denoiser.head.kind == 'levels'", "'masked' != head.kind"],
    "metric_lists": [
        "METRICS = ('fid_train', 'nll_nats')",
        "METRICS = {'kid': 1, 'fid_test': 2}",
        "METRIC = {'gaussian': 'nll_nats', 'masked': 'bound_bits_per_dim'}",
        "Metric = Literal['kid', 'fid_test']",
        "NUMBERS = {'seed', 'kid', 'nll_nats'}",
    ],
    "nested_ternaries": ["a if b else c if d else e", "(a if b else c) if d else e", "f(a if b else c) if d else 1"],
    "tuple_constants": ["A, B = 1, 2", "class C:\n    A, B = 'a', f('b')"],
    "any": ["def f(x: Any): ...", "def f() -> 'dict[str, Any]': ...", "x: list[Any] = []"],
}  # fmt: skip

NOT_COUNTED = {
    "triples": [
        "def mass(path: Path, weighting: Weighting, t: Tensor): ...",
        "def flux(path: Path, times: Tensor, weights: Tensor): ...",
        "def weighting(path: str, time: str | Spec, weighting: Spec): ...",
        "def mass(objective: Objective): ...",
        "class Objective:\n    def f(self, path, law): ...\n    weighting: Weighting",
    ],
    "doors": ["def mass(path: Path, law: TimeLaw, weighting: Weighting): ..."],
    "triple_calls": ["mass(path, weighting, law)", "mass(path, law, t, weighting)", "mass(objective)"],
    "process_strings": [
        "get_path('cosine', 'masked')",
        "@path('linear', process='masked')\ndef f(): ...",
        "def f(process: Literal['gaussian', 'masked'] = 'gaussian'): ...",
        "PROCESSES = ('gaussian', 'masked')",
        "label == 'masked too'",
        "STEPS['masked']",
    ],
    "process_tables": ["x: Literal['masked']", "STEPS[process]", "get('masked')", "{'name': 'masked'}"],
    "process_classes": ["isinstance(x, Denoiser)", "issubclass(x, MaskedDenoiser)"],
    "head_kinds": ["entry.kind == 'path'", "head.kind"],
    "metric_lists": [
        "METRICS = ('fid_train', 'fid_train_se')",
        "f('fid_train', 'nll_nats')",
        "calculate({'isc': False, 'fid': True, 'kid': True})",
        "{'nll_nats': 1, 'nll_nats_se': 2}",
    ],
    "nested_ternaries": ["x = a if b else c\ny = d if e else f", "[a if b else c for b in x]"],
    "tuple_constants": ["A = (1, 2)", "A, B = f()", "def f():\n    a, b = 1, 2", "A = 1"],
    "any": ["def f(x: object): ...", "x = Any", "def f(x: Anything): ..."],
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(rule, text) for rule, texts in table.items() for text in texts]


@pytest.mark.parametrize(("rule", "text"), cases(COUNTED))
def test_is_counted_once(rule: str, text: str) -> None:
    assert count(rule, text) == 1


@pytest.mark.parametrize(("rule", "text"), cases(NOT_COUNTED))
def test_is_not_counted(rule: str, text: str) -> None:
    assert count(rule, text) == 0


MEASURES = (("measure", "wet"), ("measure", "dry"))


def test_what_is_registered_counts_as_well() -> None:
    """A process and a measure that came later: their names are read from the decorators."""
    texts = [
        "@process('waves', FACTS)\ndef waves(): ...",
        "@measure('wet')\ndef wet(): ...",
        "@measure('dry')\ndef dry(): ...",
    ]
    declared = [Source(f"reproflow/declared{i}.py", text) for i, text in enumerate(texts)]
    for rule, text in (("process_strings", "name == 'waves'"), ("metric_lists", "BOTH = ('wet', 'dry')")):
        use = Source("reproflow/use.py", text)
        assert PACKAGE_RULES[rule]([use]) == []
        assert len(PACKAGE_RULES[rule]([*declared, use])) == 1


def test_every_rule_has_both() -> None:
    rules = PACKAGE_RULES.keys() - {"circles"}
    assert COUNTED.keys() == NOT_COUNTED.keys() == rules


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("triples", "reproflow/theory/objective.py"),
        ("process_strings", "reproflow/theory/processes/masked.py"),
        ("process_tables", "reproflow/theory/processes/masked.py"),
        ("metric_lists", "reproflow/evaluation/measures.py"),
    ],
)
def test_the_place_of_a_thing_is_excepted(rule: str, path: str) -> None:
    text = COUNTED[rule][0]
    assert (count(rule, text), count(rule, text, path)) == (1, 0)


def test_the_generator_of_names_is_excepted() -> None:
    text = "FILE = 'names.json'\nif process == 'masked': pass\n"
    assert count("process_strings", text) == 1
    assert count("process_strings", text + "def snapshot(): ...") == 0


def circles(**texts: str) -> list[str]:
    files = [Source(f"reproflow/{name.replace('__', '/')}.py", text) for name, text in texts.items()]
    return [line.partition(": ")[2] for line in PACKAGE_RULES["circles"](files)]


def test_circles_are_found_at_any_depth() -> None:
    local = "def f():\n    from reproflow import a"
    types = "if TYPE_CHECKING:\n    import reproflow.a"
    for back in ("from reproflow.a import x", local, types):
        assert circles(a="from reproflow import b", b="import reproflow.c", c=back) == [
            "reproflow.a, reproflow.b, reproflow.c"
        ]


def test_a_line_of_imports_is_no_circle() -> None:
    assert circles(a="from reproflow.b import x", b="from reproflow.c import y", c="import torch") == []
    # A module of a package and its neighbour: the package itself, which imports both, is not imported by them.
    package = "from reproflow.p import a, b"
    assert circles(p____init__=package, p__a="from reproflow.p import b", p__b="") == []


def test_long_tests_and_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, lines in {"tests/test_a.py": 301, "tests/unit/test_b.py": 300, "benchmarks/c.py": 400}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("\n" * lines)
    (tmp_path / "reproflow").mkdir()
    (tmp_path / "reproflow/a.py").write_text("A, B = 1, 2\n")
    monkeypatch.setattr("sys.argv", ["layout_counts.py", str(tmp_path), "--list", "long_tests"])
    layout_counts.main()
    printed = capsys.readouterr().out
    assert "\nlong_tests\ntests/test_a.py:1: 301 lines\n" in printed
    assert [line.split()[1:] for line in printed.splitlines() if line.startswith("tuple_constants")] == [["1", "1"]]


def test_processes_are_named_in_declarations_only() -> None:
    """Whatever depends on the process is registered for it (`foundation.by_process`) or a declared fact."""
    files = sources(ROOT)
    assert layout_counts.process_strings(files) == []
    # "gaussian" is the name of a case of the claim ST-4, next to two chains of bits.
    (case,) = layout_counts.process_tables(files)
    assert case.startswith("reproflow/claims/bounds/improved_bounds.py:")
