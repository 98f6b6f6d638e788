"""Errata of 001: what its cascade reduces (E27)."""

from __future__ import annotations

from reproflow.claims.errata.erratum import PRINTED, erratum
from reproflow.claims.policy import Context, Measurement, worst
from reproflow.exact import binary_chain


@erratum(
    "E27",
    title="'reduced data-model KL-divergences', read level by level: reduced is the bound on them",
    source="001 abstract; Theorem 1",
    tolerance=1e-9,
)
def reduced_kl(form: str, context: Context) -> Measurement:
    """The cascade lowers the bound KL(q(z_i..z_T) || p(z_i..z_T)) on the data-model KL, not the KL(q || p^(i)) itself.

    Statement: printed, and read of every level: it reduces KL(q || p^(i)), or leaves it. Corrected: it reduces its
        upper bound. The abstract says it of the cascade and names no level, which leaves room for a weaker reading.
    Assumptions: any reverse model of a Markov chain, optimal decoders.
    Computed: largest rise from a level to the next on two chains of one bit, enumerated (ST-4): a wrong prior that the
        step back forgets, and an exact prior with a wrong first and a forgetful last step back. Good to 1e-15.
    Source: 001, abstract: "provably improves upon the standard evidence lower bound and results in reduced data-model
        KL-divergences"; its Theorem 1 says "on average a better lower bound", which is right (ST-2).
    Refuted by: a rise above 1e-9, as of the printed form on either chain.
    """
    chains = (binary_chain.wrong_prior(), binary_chain.matched_prior())
    series = [chain.data_kls if form == PRINTED else chain.path_kls for chain in chains]
    rises = [float((each[1:] - each[:-1]).max()) for each in series]
    detail = "; ".join(" -> ".join(f"{abs(value):.4f}" for value in each.tolist()) for each in series)
    # A universal statement falls with one counterexample.
    return Measurement(worst(rises), detail=f"level by level from the data: {detail}")
