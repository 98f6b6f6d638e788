"""What a loss of masked tokens is called and judged to be, and whether it is the one that was stated."""

from __future__ import annotations

import functools

import masked_losses as losses
import numpy as np
import pytest
import torch

from reproflow import audit, judge
from reproflow.auditing.expected import Expected

BOUND = Expected("expr:1/sigma", on="ce")


@functools.cache
def audited(loss, expect: Expected | None = None):
    return audit(loss, (losses.L,), vocab=losses.V, mask=losses.M, expect=expect)


NAMED = {
    # Rates end at 0.999 and 0.998: beyond, nothing is graded, and the weight rises from zero there.
    "mdlm": (losses.mdlm, "linear", "1/m", "sigma = -log(1 - m)", "falsified"),
    "mdlm_independent": (
        losses.mdlm_independent,
        "cosine",
        "alpha'/(1 - alpha) of the cosine path",
        "t of the cosine path",
        "certified",
    ),
    "llada": (losses.llada, "linear", "1/m", None, "certified"),
    "sedd": (losses.sedd, "linear", "1/m", "sigma = -log(1 - m)", "falsified"),
    "steps": (losses.steps, "linear", "1/m", "the rate m", "certified"),
    "simple": (losses.simple, "linear", "1", None, "certified"),
}


SLOW = {"mdlm", "mdlm_independent", "llada", "sedd"}


@pytest.mark.parametrize(
    ("loss", "path", "form", "given", "verdict"),
    [pytest.param(*each, id=key, marks=pytest.mark.slow if key in SLOW else ()) for key, each in NAMED.items()],
)
def test_parts_have_their_names_and_the_verdict_of_check(loss, path, form, given, verdict) -> None:
    found = audited(loss)
    assert found.exit_code == 0
    parts = found.identification
    assert parts.path is not None
    assert parts.time is not None
    assert parts.coefficient is not None
    assert (parts.path["name"], parts.coefficient["form"], parts.time["name"]) == (path, form, given)
    assert parts.judged is not None
    assert parts.judged["by"] == "parts"
    words = parts.judged["spec"]
    same = judge.weighting(words["weighting"], "masked", words["path"], words["time"], words["on"])
    assert parts.judged["bound"]["verdict"] == same.bound["verdict"] == verdict


def test_the_bound_has_a_level_weight_and_the_simple_loss_has_not() -> None:
    """The canonical weight to 1e-3 where single precision of alpha allows."""
    level, simple = (audited(each).identification.canonical for each in (losses.llada, losses.simple))
    assert level is not None
    assert simple is not None
    w = np.array(level["w"])
    assert np.abs(w / np.median(w) - 1).max() < 1e-3
    w = np.array(simple["w"])
    assert w.max() > 10 * w.min()


def test_steps_are_named_as_such() -> None:
    time = audited(losses.steps).identification.time
    assert time is not None
    assert time["discrete"]
    assert time["law"]["name"] == "uniform on 100 values"


def one_over_shown(model, x1):
    """1/(1 - t) where 1/t was meant: a sound weight, and not the stated one."""
    rate = torch.rand(len(x1)) * 0.998 + 0.001
    xt = losses._masked(x1, rate)
    return (losses._ce(model(xt), x1) * (xt == losses.M) / (1 - rate)[:, None]).sum(1)


def test_the_stated_objective_is_recognised_and_another_is_not() -> None:
    expected = audited(losses.mdlm, expect=BOUND)
    assert expected.exit_code == 0
    assert expected.identification.expected is not None
    assert expected.identification.expected["verdict"] == "same"
    other = audited(one_over_shown, expect=BOUND)
    assert other.exit_code == 3
    assert [each.id for each in other.findings if each.level == "defect"] == ["not-as-stated"]
    facts = other.identification.expected
    assert facts is not None
    assert facts["ratio"]["noise"] > 100 * facts["ratio"]["data"]


def test_a_loss_divided_by_its_counts_has_no_bound() -> None:
    found = audited(losses.counts, expect=BOUND)
    assert found.exit_code == 5
    assert found.identification.judged is None
    assert found.identification.canonical is None
    assert found.identification.expected is not None
    assert found.identification.expected["verdict"] == "cannot"


def cosine_short_of_noise(eps: float):
    """The cosine schedule whose least alpha is eps, with the coefficient of the bound."""

    def loss(model, x1):
        t = torch.rand(len(x1))
        m = (1 - eps) * (1 - torch.cos(t * torch.pi / 2))
        slope = (1 - eps) * torch.pi / 2 * torch.sin(t * torch.pi / 2)
        xt = losses._masked(x1, m)
        return (losses._ce(model(xt), x1) * (xt == losses.M) * (slope / m)[:, None]).sum(1)

    return loss


@pytest.mark.parametrize(("eps", "verdict", "share"), [(1e-3, "same", 0.028), (0.02, "different", 0.127)])
def test_what_a_law_leaves_out_is_counted_from_its_own_ends(eps: float, verdict: str, share: float) -> None:
    """Of the path alpha = 1 - cos(pi t / 2) the times below alpha = eps are 2/pi arccos(1 - eps): 2.8 % and 12.8 %."""
    assert 2 / np.pi * np.arccos(1 - eps) == pytest.approx(share, abs=1e-3)
    stated = Expected("expr:dlam*alpha", path="cosine", on="ce")
    facts = audited(cosine_short_of_noise(eps), expect=stated).identification.expected
    assert facts is not None
    assert facts["verdict"] == verdict, facts
    if verdict == "different":
        assert "13%" in facts["reason"]
