"""The registry, and the committed list of its names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from reproflow.foundation import names, registry, specs
from reproflow.foundation.errors import UsageError


def test_the_committed_list_is_fresh() -> None:
    code = (
        "import json, reproflow.theory, reproflow.learning.data, reproflow.learning.networks\n"
        "from reproflow.claims import ledger; ledger.load()\n"
        "from reproflow.evaluation import measures; measures.load()\n"
        "from reproflow.reporting import figures; figures.load()\n"
        "from reproflow.foundation import names; print(json.dumps(names.snapshot()))"
    )
    answer = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    import json

    assert json.loads(answer.stdout) == json.loads(names.FILE.read_text()), "run: reproflow list --refresh"


def test_a_name_taken_twice_names_both_places(monkeypatch: pytest.MonkeyPatch) -> None:
    def first() -> None: ...
    def second() -> None: ...

    monkeypatch.setattr(registry, "BUILT_IN", registry.Registry())
    registry.register("test kind", "one")(first)
    with pytest.raises(UsageError) as caught:
        registry.register("test kind", "one")(second)
    assert str(caught.value).count(f"{__file__}:") == 2


def test_an_unknown_name_gets_the_nearest() -> None:
    import reproflow.theory  # noqa: F401

    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        registry.get("path", "cosin")


@pytest.mark.parametrize(
    ("text", "name", "params", "slug"),
    [
        ("elbo", "elbo", (), "elbo"),
        ("sigmoid:k=-2", "sigmoid", (("k", -2.0),), "sigmoid~k-2"),
        ("logit_normal:std=0.5,mean=1", "logit_normal", (("mean", 1.0), ("std", 0.5)), "logit_normal~mean1~std0.5"),
        ("min_snr:gamma=1e-3", "min_snr", (("gamma", 1e-3),), "min_snr~gamma0.001"),
    ],
)
def test_specs(text: str, name: str, params: tuple, slug: str) -> None:
    spec = specs.parse(text)
    assert (spec.name, spec.params, spec.slug) == (name, params, slug)
    assert specs.parse(str(spec)) == spec


@pytest.mark.parametrize("text", ["", "a b", "a:b", "a:b=", "a:b=inf", "a:b=1,b=2", "a:b=x", "../x", "a;rm", None, 3])
def test_what_is_no_spec(text: object) -> None:
    with pytest.raises(UsageError):
        specs.parse(text)  # type: ignore[arg-type]
