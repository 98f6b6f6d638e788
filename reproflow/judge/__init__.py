"""Judging one new thing: is it sound, what does it bound, what is it equivalent to?

`judge` is a module; `judge.weighting("expr:exp(-lam/2)")` gives the answer of `reproflow check weighting`. What is
judged may be negative, infinite or not monotone: that is what the verdicts are for. Only what cannot be evaluated (NaN
inside (0, 1), a wrong shape, use of the global random state, an exception) raises `UsageError`.
"""

from reproflow.judge.weightings import Judgement, weighting

__all__ = ["Judgement", "weighting"]
