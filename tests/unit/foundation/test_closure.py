"""What a definition is made of, in a package of a few lines: what changes its digest, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reproflow.foundation import closure, explain, sources

Files = dict[str, str]
Digest = Callable[..., str]

BASE: Files = {
    "a": "def f(x):\n    return x + 1\n\n\ndef unused():\n    return 5\n",
    "b": "def f(x):\n    return x + 2\n",
    "root": "from small import a\n\n\ndef start(x):\n    return a.f(x)\n",
}


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Digest]:
    """The digest of `small.root:start` in a package of these files."""
    counter = iter(range(1000))

    def of(files: Files, *roots: str) -> str:
        return closed(files, *roots).value

    def closed(files: Files, *roots: str) -> closure.Closure:
        package = tmp_path / str(next(counter)) / "small"
        for name, text in {"__init__": "", **files}.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            (package / f"{name}.py").write_text(text)
        monkeypatch.setattr(sources, "PACKAGE", package)
        closure.forget()
        return closure.reached(roots or ["small.root:start"])

    of.closed = closed  # type: ignore[attr-defined]
    yield of
    closure.forget()


@pytest.mark.parametrize(
    "root",
    [
        "from small.a import f\n\ndef start(x):\n    return f(x)\n",
        "from small.a import f as g\n\ndef start(x):\n    return g(x)\n",
        "import small.a\n\ndef start(x):\n    return small.a.f(x)\n",
        "import small.a as m\n\ndef start(x):\n    return m.f(x)\n",
        "from small import a as m\n\ndef start(x):\n    return m.f(x)\n",
        "def start(x):\n    from small.a import f\n\n    return f(x)\n",
        "def start(x):\n    from small import a\n\n    return a.f(x)\n",
        "from small.passing import f\n\ndef start(x):\n    return f(x)\n",
        "from small.passing import *\n\ndef start(x):\n    return f(x)\n",
        "from small.lazy import f\n\ndef start(x):\n    return f(x)\n",
        "def f(x):\n    return x + 1\n\n\ndef start(x):\n    return f(x)\n",
        "def g(y):\n    return y\n\n\ndef h(x):\n    return x + 1\n\n\ndef start(x):\n    return h(x)\n",
        '"""Text."""\n# remark\nfrom small.a import f\n\ndef start(x: int) -> str:\n    """Text."""\n    return f(x)\n',
        "from typing import TYPE_CHECKING\nfrom small.a import f\nif TYPE_CHECKING:\n    from small.b import f as T\n\n"
        "def start(x: T) -> T:\n    return f(x)\n",
    ],
)
def test_neither_place_nor_import_nor_text_for_readers_counts(digest: Digest, root: str) -> None:
    passing = {"passing": "from small.a import f\n"}
    lazy = {
        "lazy": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from small.a import f\n\n"
        "def __getattr__(name):\n    raise AttributeError(name)\n"
    }
    assert digest(BASE | passing | lazy | {"root": root}) == digest(BASE)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a", "def f(x):\n    return x + 3\n"),
        ("a", "def f(x, y=1):\n    return x + 1\n"),
        ("a", "from small.b import f\n"),
        ("a", "@twice\ndef f(x):\n    return x + 1\n"),
        ("a", "def f(x):\n    return x + 1\n\n\nf.cost = 3\n"),
        ("a", "def f(x):\n    return x + 1\n\n\nf = abs\n"),
        ("root", "from small import b\n\n\ndef start(x):\n    return b.f(x)\n"),
        ("root", "from small import a\n\n\ndef start(x):\n    return a.f(x, 1)\n"),
    ],
)
def test_what_is_computed_counts(digest: Digest, name: str, text: str) -> None:
    assert digest(BASE | {name: text}) != digest(BASE)


@pytest.mark.parametrize(("name", "counts"), [("cite", False), ("facts", False), ("meta", True)])
def test_what_only_people_and_tables_read_of_a_call_does_not_count(name: str, counts: bool, digest: Digest) -> None:
    one, other = ({"a": f"def f(x):\n    return dict(x=x, {name}={value})\n"} for value in (1, 2))
    assert (digest(BASE | one) != digest(BASE | other)) is counts


@pytest.mark.parametrize("given", ["x, y=1", "x, *, y=1"])
def test_the_default_of_an_argument_counts(given: str, digest: Digest) -> None:
    def of(arguments: str) -> str:
        return digest(BASE | {"a": f"def f({arguments}):\n    return x + y\n"})

    assert of(given) == of(given)
    assert of(given) != of(given.replace("1", "2"))


def test_two_definitions_of_one_name_are_not_confused(digest: Digest) -> None:
    root = "from small import a, b\n\n\ndef start(x):\n    return a.f(b.f(x) * 2)\n"
    swapped = BASE | {"root": root, "a": BASE["b"], "b": BASE["a"]}
    assert digest(swapped) != digest(BASE | {"root": root})
    both_swapped = swapped | {"root": root.replace("a.f(b.f", "b.f(a.f")}
    assert digest(both_swapped) == digest(BASE | {"root": root})


def test_what_is_two_calls_away_counts(digest: Digest) -> None:
    files = BASE | {"a": "from small.far import K\n\n\ndef f(x):\n    return x + K\n", "far": "K = 1\nL = 2\n"}
    before = digest(files)
    assert digest(files | {"far": "K = 3\nL = 2\n"}) != before
    assert digest(files | {"far": "K = 1\nL = 3\n"}) == before


CIRCLE = {
    "root": "from small.odd import odd\n\n\ndef start(n):\n    return odd(n)\n",
    "odd": "def odd(n):\n    from small.even import even\n\n    return n and even(n - 1)\n",
    "even": "from small.odd import odd\n\n\ndef even(n):\n    return not n or odd(n - 1)\n",
}


def test_circles_of_definitions(digest: Digest) -> None:
    """Recursion, within a module and between modules, wherever the two lie."""
    before = digest(CIRCLE)
    joined = "def even(n):\n    return not n or odd(n - 1)\n\n\ndef odd(n):\n    return n and even(n - 1)\n"
    assert digest({"root": CIRCLE["root"], "odd": joined}) == before
    assert digest(CIRCLE | {"even": CIRCLE["even"].replace("not n", "n == 1")}) != before
    assert digest(CIRCLE | {"odd": CIRCLE["odd"].replace("n - 1", "n - 3")}) != before
    assert digest(CIRCLE | {"root": CIRCLE["root"].replace("odd(n)", "odd(n + 1)")}) != before
    alone = {"root": "def start(n):\n    return n and start(n - 1)\n"}
    assert digest(alone) == digest({"root": "def again(n):\n    return n and again(n - 1)\n"}, "small.root:again")
    assert digest(alone) != digest({"root": "def start(n):\n    return n and stop(n - 1)\n"})


def test_the_order_in_which_a_circle_is_gone_round_counts(digest: Digest) -> None:
    """The same three texts, each calling the next or the one before."""

    def circle(a: str, b: str, c: str) -> Files:
        bodies = {"a": f"x + 1 + {a}(x)", "b": f"2 * {b}(x)", "c": f"3 - {c}(x)"}
        functions = "".join(f"def {name}(x):\n    return {body}\n\n\n" for name, body in bodies.items())
        return {"root": functions + "def start(x):\n    return a(x)\n"}

    assert digest(circle("b", "c", "a")) != digest(circle("c", "a", "b"))
    assert digest(circle("b", "c", "a")) == digest(circle("b", "c", "a"))


@pytest.mark.parametrize(
    ("body", "reached"),
    [
        ("def start(f):\n    return f(1)\n", False),
        ("def start(x):\n    f = abs\n    return f(x)\n", False),
        ("def start(x):\n    return [f for f in x]\n", False),
        ("def start(x):\n    return [f for f in f(x)]\n", True),
        ("def start(x):\n    [f for f in x]\n    return f(x)\n", True),
        ("def start(x, y=lambda f: f):\n    return f(x)\n", True),
        ("def start(x):\n    def inner(f):\n        return f(x)\n    return inner(abs)\n", False),
        ("def start(x):\n    def inner(y):\n        return f(y)\n    return inner(x)\n", True),
        ("class start:\n    f = 3\n\n    def method(self):\n        return f(self)\n", True),
        ("def start(x):\n    global f\n    f = 3\n", True),
        ("def start(x):\n    try:\n        return x\n    except ValueError as f:\n        return f\n", False),
        ("def start(x):\n    match x:\n        case [f, *_]:\n            return f\n", False),
        ("def start(x: f):\n    return x\n", True),
        ("start = lambda x: f(x)\n", True),
        ("start, other = f, 3\n", True),
        ("if True:\n    def start(x):\n        return f(x)\n", True),
        ("start = 1\nfor start in f:\n    pass\n", True),
        ("import importlib\n\ndef start(x):\n    return importlib.import_module('small.a').f\n", True),
        ("import small.a\n\ndef start(x):\n    return getattr(small.a, x)\n", True),
    ],
)
def test_names_have_the_scopes_of_python(digest: Digest, body: str, reached: bool) -> None:
    files = BASE | {"root": f"from small.a import f\n\n{body}"}
    assert (digest(files | {"a": "def f(x):\n    return 7\n"}) != digest(files)) is reached


def test_a_decorator_that_registers_counts_by_its_arguments(digest: Digest) -> None:
    """Another decorator counts whole."""
    register = (
        "from reproflow.foundation import registry\n\n\ndef enters(name):\n    return registry.register('k', name)\n"
    )
    wrap = "def enters(name):\n    return lambda function: function\n"
    root = "from small.deco import enters\n\n\n@enters('one')\ndef start(x):\n    return x\n"
    files = {"root": root}
    # The registry is another package's here; what matters is which definition `register` is.
    for deco, counts in ((register, False), (wrap, True)):
        small = deco.replace("from reproflow.foundation import registry", "from small import registry")
        own = {"deco": small, "registry": "def register(kind, name):\n    return lambda function: function\n"}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(closure, "REGISTER", sources.Definition("small.registry", "register"))
            before = digest(files | own)
            assert (digest(files | own | {"deco": small + "\n\nSECOND = 2\n"}) != before) is False
            changed = small.replace("(name):", "(name, more=2):")
            assert (digest(files | own | {"deco": changed}) != before) is counts
            assert digest(files | own | {"root": root.replace("one", "two")}) != before


def test_a_module_that_changes_no_number_is_named_and_not_followed(digest: Digest) -> None:
    files = BASE | {"a": BASE["a"] + "\nCHANGES_NO_NUMBER = 'it prints'\n"}
    before = digest(files)
    assert digest(files | {"a": files["a"].replace("x + 1", "x + 9")}) == before
    assert digest(files | {"root": BASE["root"].replace("a.f", "a.unused")}) != before
    moved = files | {
        "elsewhere": files["a"],
        "root": BASE["root"].replace("a", "elsewhere").replace("elsewherert", "art"),
    }
    moved["root"] = "from small import elsewhere\n\n\ndef start(x):\n    return elsewhere.f(x)\n"
    assert digest(moved) == before
    changed = files | {"a": files["a"].replace("x + 1", "x + 9")}
    assert digest(changed, "small.a:f") == digest(files, "small.a:f"), "as a root, too"


def test_a_whole_module_stands_for_its_definitions(digest: Digest) -> None:
    before = digest(BASE, "small.a", "small.root")
    split = BASE | {"a": BASE["a"].partition("\n\n\n")[0] + "\n", "c": "def unused():\n    return 5\n"}
    assert digest(split, "small.a", "small.c", "small.root") == before
    assert digest(split, "small.a", "small.root") != before


def test_a_root_that_is_not_there_is_an_error(digest: Digest) -> None:
    with pytest.raises(LookupError, match=r"no module small\.nothing"):
        digest(BASE, "small.nothing:f")


def test_modules_that_import_a_name_from_each_other(digest: Digest) -> None:
    """Python refuses them; the digest has an end all the same."""
    assert digest(BASE | {"a": "from small.b import f\n", "b": "from small.a import f\n"}) != digest(BASE)


class TestWhy:
    """What `reproflow why` reads from the digests of single definitions."""

    def lines(self, digest: Digest, before: Files, now: Files) -> list[str]:
        parts = []
        for files in (before, now):
            found = digest.closed(files)  # type: ignore[attr-defined]
            parts.append({"sources": found.value} | {f"source {k}": v for k, v in found.definitions.items()})
        return [line.partition(": ")[0] + line.partition(")")[1] for line in explain.changed(*parts)]

    def test_the_definition_that_changed_is_named_and_no_caller(self, digest: Digest) -> None:
        now = BASE | {"a": BASE["a"].replace("x + 1", "x + 3")}
        assert self.lines(digest, BASE, now) == ["source a:f"]

    def test_a_move_alone_is_nothing(self, digest: Digest) -> None:
        now = {"new": BASE["a"], "root": BASE["root"].replace("import a", "import new").replace("a.f", "new.f")}
        assert self.lines(digest, BASE, now) == []

    def test_what_only_moved_is_not_named_where_something_else_changed(self, digest: Digest) -> None:
        root = BASE["root"].replace("import a", "import new").replace("a.f(x)", "new.f(x) + 1")
        assert self.lines(digest, BASE, {"new": BASE["a"], "root": root}) == ["source root:start"]

    def test_a_moved_definition_that_changed_is_named_where_it_is_now(self, digest: Digest) -> None:
        root = BASE["root"].replace("import a", "import new").replace("a.f", "new.f")
        now = {"new": BASE["a"].replace("x + 1", "x + 3"), "root": root}
        assert self.lines(digest, BASE, now) == ["source new:f)"]

    def test_the_same_definitions_called_the_other_way_round(self, digest: Digest) -> None:
        before = BASE | {"root": "from small import a, b\n\ndef start(x):\n    return a.f(b.f(x) * 2)\n"}
        now = before | {"root": "from small import a, b\n\ndef start(x):\n    return b.f(a.f(x) * 2)\n"}
        assert self.lines(digest, before, now) == ["sources, by what their names stand for"]
