"""Good and bad input at random: specs, expressions, configurations and command lines, by grammar and by accident.

Most of what is drawn follows the grammar, with names that exist and some numbers at the edges of what is allowed; the
rest is the same with something wrong in it, and some is noise.
"""

from __future__ import annotations

import copy
import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from hypothesis import strategies as st

from reproflow.foundation import names, processes
from reproflow.foundation.expression_syntax import FUNCTIONS, VARIABLES

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("weighting", "path", "time", "divergence")
KNOWN = {kind: sorted({each.name for each in names.known() if each.kind == kind}) for kind in KINDS}
USUAL = ("0", "1", "-1", "0.5", "2", "3", "0.999999", "0.1", "7", "1.5", "-0.5")
NAMES = list(itertools.chain(*KNOWN.values()))
NUMBERS = (
    *("1e-9", "1e9", "-0.0", "1e308", "1e-308", "5e-324", "-1e308"),
    *("nan", "inf", "-inf", "1e400", "1_0", "0x1", "1e", "", " 1", "1,2", "١", "True", "1j", "10**9", "½"),
)
NOISE = st.one_of(
    st.text(max_size=30), st.sampled_from(["", " ", "\x00", "\n", "é", "💥", ":", "=", "expr:", "a" * 5000])
)


def mostly(good: st.SearchStrategy[Any], bad: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Twenty-nine of thirty good ones: a few are drawn for each input, and one bad part makes the whole bad."""
    return st.integers(0, 29).flatmap(lambda one: good if one else bad)


NUMBER = mostly(st.sampled_from(USUAL), st.sampled_from(NUMBERS))
SOME_PROCESS = mostly(st.sampled_from(processes.known()[:2]), st.sampled_from([*processes.known(), "gausian", ""]))


OPERATORS = ("+", "-", "*", "/", "**")
OTHER_OPERATORS = ("//", "%", "@", "&", "|", "<<", "and", "or")


@st.composite
def expressions(draw: st.DrawFn, kind: str, depth: int = 4) -> str:
    """The text of an expression, most of them allowed for the kind."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        allowed = st.sampled_from(
            [*VARIABLES[kind], *VARIABLES[kind], "pi", "0", "1", "2", "0.5", "1e-3", "1e300", "5e-324", "7"]
        )
        return draw(
            mostly(mostly(allowed, NUMBER), st.sampled_from(["z", "__import__", "t.real", "'t'", "None", "[]"]))
        )
    inner = expressions(kind, depth - 1)
    form = draw(mostly(st.integers(0, 10), st.just(11)))
    if form < 5:
        operator = draw(mostly(st.sampled_from(OPERATORS), st.sampled_from(OTHER_OPERATORS)))
        return f"({draw(inner)} {operator} {draw(inner)})"
    if form < 9:
        name = draw(
            mostly(st.sampled_from(sorted(FUNCTIONS)), st.sampled_from(["eval", "open", "sum", "np.exp", "lambda"]))
        )
        fewest, most = FUNCTIONS.get(name, (0, 3))
        count = draw(mostly(st.just(fewest), st.integers(0, most + 1)))
        return f"{name}({', '.join(draw(inner) for _ in range(count))})"
    if form == 9:
        return f"({draw(inner)} {draw(st.sampled_from(['<', '<=', '==', '!=', '>=', '>']))} {draw(inner)})"
    if form == 10:
        return f"-{draw(inner)}"
    return draw(
        st.sampled_from(["({}", "{}))", "{},", "{}, {}", "*{}", "{} if 1 else 2", "({})" * 3, "{}\n", "#{}"])
    ).replace("{}", draw(inner))


@st.composite
def specs(draw: st.DrawFn, kind: str) -> str:
    """A registered name with parameters, an expression, a function of a file that there is not, or noise."""
    form = draw(mostly(st.integers(0, 8), st.just(9)))
    if form < 5:
        name = draw(mostly(st.sampled_from(KNOWN[kind]), mostly(st.sampled_from(NAMES), NOISE)))
        known = next((each for each in names.known() if (each.kind, each.name) == (kind, name)), None)
        keys = sorted(known.params) if known else ["gamma"]
        chosen = draw(st.lists(mostly(st.sampled_from(keys), NOISE), max_size=2, unique=True)) if keys else []
        items = [f"{key}={draw(NUMBER)}" for key in chosen]
        return name + (":" + ",".join(items) if items else "")
    if form < 9:
        values = 2 if kind == "path" else 1
        return "expr:" + ", ".join(draw(expressions(kind)) for _ in range(values))
    if form == 9 and draw(st.booleans()):
        return draw(
            st.sampled_from(["no.py:f", "no.py:f:k=1", ".py:f", "/:f", "a/b.py:", "no.py:1f", "..:f", "/dev/null:f"])
        )
    return draw(NOISE)


def laws() -> st.SearchStrategy[str]:
    """A time law: by its quantile map, or by its density."""
    densities = expressions("path").map(lambda text: f"density:expr:{text}")
    return st.one_of(specs("time"), specs("time"), densities)


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 2**70, 1e308, -0.5, 0.5, float("nan"), float("inf"), 10**9]),
    NOISE,
    st.sampled_from(["expr:1/t", "mine.py:w", "elbo", "1e-3", "null", "~", "on", "yes"]),
    st.lists(st.sampled_from([0, 1, -1, "linear", None, 0.5, []]), max_size=3),
    st.dictionaries(
        st.sampled_from(["name", "spec", "on", "x", ""]), st.sampled_from(["mine", 1, None, "expr:t"]), max_size=3
    ),
)


def _configs() -> list[dict[str, Any]]:
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "configs").glob("*.yaml"))]


CONFIGS = _configs()
KEYS = sorted({str(key) for config in CONFIGS for key in (*config, *(k for e in config["experiments"] for k in e))})


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a tree of mappings and lists but its root."""
    items = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    return [inner for key, each in items for inner in ((*place, key), *_places(each, (*place, key)))]


@st.composite
def configurations(draw: st.DrawFn) -> str:
    """The YAML text of one of the project's configurations, with up to four things wrong in it."""
    config = copy.deepcopy(draw(st.sampled_from(CONFIGS)))
    # One experiment says as much as twenty, and is read twenty times as fast.
    config["experiments"] = [draw(st.sampled_from(config["experiments"]))]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 2, 4]))):
        *above, key = draw(st.sampled_from(_places(config) or [("name",)]))
        holder = config
        for step in above:
            holder = holder[step]
        change = draw(st.integers(0, 7))
        if change > 5 and isinstance(holder[key], int | float):
            holder[key] *= draw(st.sampled_from([2, 1, 0.5, 3, -1]))
            continue
        if change == 0 and key in (holder if isinstance(holder, dict) else range(len(holder))):
            del holder[key]
        elif change == 1 and isinstance(holder, dict):
            holder[draw(mostly(st.sampled_from(KEYS), NOISE))] = holder.pop(key, None)
        elif change == 2:
            kind = draw(st.sampled_from(KINDS))
            holder[key] = draw(st.one_of(specs(kind), st.lists(specs(kind), max_size=3)))
        elif change == 3 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            holder[key] = draw(JUNK)
        if not config:
            break
    text = yaml.safe_dump(config, allow_unicode=draw(st.booleans()))
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(
                st.sampled_from(
                    ["\t", "&a", "*a", "{", "}", ": ", "\x00", "!!python/object:os.system x", "<<: *b", "- "]
                )
            )
            + text[at:]
        )
    return text[: draw(st.integers(0, len(text)))] if draw(st.integers(0, 9)) == 0 else text


OPTIONS = {
    "weighting": (
        *("--process", "--path", "--time", "--target", "--range", "--lam", "--tokens", "--time-agnostic"),
        *("--against", "--against-path", "--time-runs", "--sigma-data", "--levels"),
    ),
    "path": ("--process", "--time-runs", "--snr"),
    "time": ("--time-runs",),
    "divergence": (),
}
PAIRS = ("0.1,0.9", "0.4999,0.5001", "1e-300,0.5", "0.001,0.999", "0.2,0.3")
ODD_PAIRS = ("0,1", "0.9,0.1", "0,0", "-1,2", "a,b", "0.5", "1,2,3", "nan,1", "1e-300,1", "", ",")


@st.composite
def checks(draw: st.DrawFn) -> list[str]:
    """A command line of `check`, most of them meant seriously."""
    kind = draw(st.sampled_from(KINDS))
    values = {
        "--process": SOME_PROCESS,
        "--path": mostly(st.sampled_from(KNOWN["path"]), specs("path")),
        "--time": mostly(st.sampled_from(KNOWN["time"]), laws()),
        "--against": specs("weighting"),
        "--against-path": mostly(st.sampled_from(KNOWN["path"]), specs("path")),
        "--time-runs": mostly(st.sampled_from(["data-to-noise", "noise-to-data"]), NOISE),
        "--sigma-data": NUMBER,
        "--levels": mostly(st.sampled_from(["1", "2", "3", "10", "1000"]), NUMBER),
        "--snr": expressions("path").map(lambda text: f"expr:{text}"),
        "--target": mostly(
            st.sampled_from(["x1", "eps", "velocity", "canonical"]), st.sampled_from(["score", "y", ""])
        ),
        "--range": mostly(st.sampled_from(PAIRS), st.sampled_from(ODD_PAIRS)),
        "--lam": mostly(st.sampled_from(["-3,-1,0", "0", "1e9", "-1e9,1e9"]), st.sampled_from(ODD_PAIRS)),
        "--tokens": mostly(st.sampled_from(["1", "2", "7"]), st.sampled_from(["0", "-1", "1e3", "x", "100000"])),
    }
    words = ["check", kind]
    for option in draw(st.lists(st.sampled_from(OPTIONS[kind]), max_size=3, unique=True)) if OPTIONS[kind] else []:
        words.append(option if option == "--time-agnostic" else f"{option}={draw(values[option])}")
    if ("--tokens" in " ".join(words)) != ("--time-agnostic" in words) and draw(st.booleans()):
        words += ["--time-agnostic", "--tokens=3", "--process=masked"]
    return [*words, "--", draw(laws() if kind == "time" else specs(kind))]


@st.composite
def table_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file of numbers and its name, most of them sound; some cut short, or with a byte changed."""
    values = draw(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12))
    if draw(st.booleans()):
        values = sorted(values, reverse=draw(st.booleans()))
    array = np.array(values, dtype=draw(st.sampled_from(["f8", "f4", "f2", "i8", "?", "c16", "U3", "O", ">f8"])))
    array = array.reshape(draw(st.sampled_from([(-1,), (-1,), (-1,), (1, -1), (-1, 1, 1)])))
    held, form = io.BytesIO(), draw(st.sampled_from(["csv", "csv", "npy", "npz"]))
    if form == "csv":
        cells = [draw(mostly(st.just(repr(float(value))), st.sampled_from(NUMBERS))) for value in values]
        head = draw(st.sampled_from(["", "w\n", "index,w\n", "w,w\n", '"w\n']))
        index = "index" in head
        held.write((head + "\n".join(f"{i},{cell}" if index else cell for i, cell in enumerate(cells))).encode())
    elif form == "npy":
        np.save(held, array)
    else:
        np.savez(held, **dict.fromkeys(draw(st.sampled_from([["w"], ["w", "v"], ["arr_0"]])), array))
    data = held.getvalue()
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        data = draw(st.sampled_from([data[:at], data[:at] + draw(st.binary(max_size=3)) + data[at + 1 :]]))
    return f"table.{form}{draw(mostly(st.just(''), st.sampled_from([':w', ':x', ':', '::'])))}", data


@st.composite
def table_checks(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """A command line of `check weighting` about a table, and what the file holds."""
    name, data = draw(table_files())
    file = name.split(":")[0]
    schedules = ["betas", "alphas_cumprod", "sigmas", "flow_sigmas", "log_snr"]
    options = draw(
        st.sampled_from(
            [
                ["--path=cosine"],
                ["--path=linear", "--target=x1"],
                [f"--table-of={draw(st.sampled_from([*schedules, 'weights', 'x']))}"],
                ["--path=cosine", "--process=masked"],
                [f"--schedule={file}", f"--schedule-of={draw(st.sampled_from(schedules))}"],
                [f"--time={file}", "--path=linear"],
            ]
        )
    )
    return ["check", "weighting", *options, "--", name], data


VERBS = (
    "list",
    "verify",
    "why",
    "doctor",
    "check",
    "baseline",
    "resolve",
    "train",
    "sample",
    "evaluate",
    "report",
    "x",
    "",
)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Words after `reproflow`: verbs, options with and without values, files that there are not, noise."""
    words = [draw(st.sampled_from(VERBS))]
    option = st.sampled_from(
        ["--config", "--results", "--shard", "--json", "--tier", "--help", "--html", "-h", "--x", "--", "-"]
    )
    value = st.one_of(
        st.sampled_from(["none.yaml", "no/such", "0", "exact", "PATH-1", "elbo", "expr:t", "-1", ""]), NOISE
    )
    for _ in range(draw(st.integers(0, 5))):
        words.append(
            draw(st.one_of(option, value, st.sampled_from(["weighting", "path", "compare", "update", "field"])))
        )
    return words
