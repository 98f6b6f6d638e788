"""Finite chains against brute force over whole paths."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from reproflow.exact import binary_chain
from reproflow.exact.chain import Chain

DOUBLE = torch.float64
SIZES = (3, 2, 4, 2)  # X, S_0, S_1, S_2


def rows(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=DOUBLE).log_softmax(-1)


@pytest.fixture(scope="module")
def chain() -> Chain:
    x, a, b, c = SIZES
    steps, reverse = (rows(a, b, seed=1), rows(b, c, seed=2)), (rows(b, a, seed=3), rows(c, b, seed=4))
    return Chain(rows(x, seed=5), rows(x, a, seed=6), steps, reverse, rows(c, seed=7))


def paths(chain: Chain):
    """(x, z), q(x), q(z|x), p(z_i..z_2) for i = 0, 1, 2 of every path."""
    data, first, prior = (t.exp().numpy() for t in (chain.data, chain.first, chain.prior))
    (s1, s2), (r1, r2) = ([t.exp().numpy() for t in tables] for tables in (chain.steps, chain.reverse))
    for x, *z in itertools.product(*map(range, SIZES)):
        forward = first[x, z[0]] * s1[z[0], z[1]] * s2[z[1], z[2]]
        back = prior[z[2]], prior[z[2]] * r2[z[2], z[1]], prior[z[2]] * r2[z[2], z[1]] * r1[z[1], z[0]]
        yield x, tuple(z), data[x], forward, back[::-1]


def tails(chain: Chain, i: int):
    """Dictionaries over (z_i..z_2): q(x, tail), q(tail), p(tail)."""
    joint, model = {}, {}
    for x, z, qx, forward, back in paths(chain):
        joint[x, z[i:]] = joint.get((x, z[i:]), 0.0) + qx * forward
        model[z[i:]] = back[i]
    total = {tail: sum(joint[x, tail] for x in range(SIZES[0])) for tail in model}
    return joint, total, model


@pytest.mark.parametrize("i", [0, 1, 2])
def test_path_kls_and_bounds_by_all_paths(chain: Chain, i: int) -> None:
    joint, total, model = tails(chain, i)
    data = chain.data.exp().numpy()
    assert chain.path_kls[i] == pytest.approx(
        sum(q * math.log(q / model[tail]) for tail, q in total.items()), abs=1e-13
    )
    given = sum(q * math.log(q / data[x] / model[tail]) for (x, tail), q in joint.items())
    assert chain.conditional_path_kls[i] == pytest.approx(given, abs=1e-13)
    # With the optimal decoder q(x|z_i) = q(x|tail), by the Markov property.
    for x in range(SIZES[0]):
        each = [
            joint[x, tail] / data[x] * math.log(joint[x, tail] / total[tail] * model[tail] / (joint[x, tail] / data[x]))
            for tail in model
        ]
        assert chain.bounds[i, x] == pytest.approx(sum(each), abs=1e-13)


@pytest.mark.parametrize("i", [0, 1, 2])
def test_likelihoods_and_marginals_by_all_paths(chain: Chain, i: int) -> None:
    joint, total, model = tails(chain, i)
    own, law = np.zeros(SIZES[1 + i]), np.zeros(SIZES[1 + i])
    decoder = np.zeros((SIZES[0], SIZES[1 + i]))
    for tail in model:
        own[tail[0]] += model[tail]
        law[tail[0]] += total[tail]
        for x in range(SIZES[0]):
            decoder[x, tail[0]] += joint[x, tail]
    data = chain.data.exp().numpy()
    assert np.allclose(chain.likelihoods[i].exp(), (decoder / law) @ own, atol=1e-14)
    assert chain.marginal_kls[i] == pytest.approx(stats.entropy(law, own), abs=1e-13)
    assert chain.data_kls[i] == pytest.approx(stats.entropy(data, (decoder / law) @ own), abs=1e-13)
    assert chain.entropy == pytest.approx(stats.entropy(data))


def test_terms_floors_and_improvements_by_definition(chain: Chain) -> None:
    for j in (1, 2):
        pair = np.zeros((SIZES[0], SIZES[j], SIZES[j + 1]))
        for x, z, qx, forward, _ in paths(chain):
            pair[x, z[j - 1], z[j]] += qx * forward
        back = chain.reverse[j - 1].exp().numpy().T
        given = pair / pair.sum(1, keepdims=True)
        terms = (pair * np.log(given / back)).sum((1, 2)) / chain.data.exp().numpy()
        assert np.allclose(chain.terms[j - 1], terms, atol=1e-13)
        mixed = pair.sum(0)
        exact = mixed / mixed.sum(0)
        assert chain.improvements[j - 1] == pytest.approx((mixed * np.log(exact / back)).sum(), abs=1e-13)
        assert chain.floors[j - 1] == pytest.approx((pair * np.log(given / exact)).sum(), abs=1e-13)
    assert np.allclose(chain.prior_terms, [stats.entropy(q, chain.prior.exp()) for q in chain.given[2].exp()])


def test_another_decoder_is_a_bound_too(chain: Chain) -> None:
    decoder = rows(SIZES[2], SIZES[0], seed=8).T
    lost = chain.bound(1) - chain.bound(1, decoder)
    assert torch.all(chain.bound(1, decoder) <= chain.likelihood(1, decoder))
    given, best = chain.given[1].exp(), chain.decoders[1]
    assert torch.allclose(lost, (given * (best - decoder)).sum(1))
    assert float(lost @ chain.data.exp()) > 0


def test_the_exact_model_has_no_distance(chain: Chain) -> None:
    exact = chain.with_model(reverse=chain.exact_reverse, prior=chain.marginals[-1])
    for values in (exact.path_kls, exact.marginal_kls, exact.data_kls, exact.improvements):
        assert float(values.abs().max()) < 1e-14
    assert torch.allclose(exact.terms @ exact.data.exp(), exact.floors, atol=1e-14)


def test_tables_that_do_not_fit_are_refused(chain: Chain) -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        replace(chain, prior=chain.prior - 0.1)
    with pytest.raises(ValueError, match="reverse"):
        replace(chain, reverse=chain.steps)
    with pytest.raises(ValueError, match="prior must fit"):
        replace(chain, prior=rows(5, seed=1))


def test_a_bit_that_is_forgotten() -> None:
    chain = binary_chain.wrong_prior()
    assert chain.data_kls.tolist() == pytest.approx([0.0, 0.0572105], abs=1e-7)
    assert chain.path_kls.tolist() == pytest.approx([0.5489726, 0.3747748], abs=1e-7)


def test_matched_prior_is_the_marginal_after_three_flips() -> None:
    chain = binary_chain.matched_prior()
    ones = 0.7
    for flip in (0.02, 0.05, 0.1):
        ones = ones * (1 - flip) + (1 - ones) * flip
    assert chain.prior.exp().tolist() == pytest.approx([1 - ones, ones])
