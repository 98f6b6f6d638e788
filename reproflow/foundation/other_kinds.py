"""What a user's function may be instead of what it is asked as, told from the names of its arguments.

A weighting is a function of the noise level. Much of what training codes multiply a loss by is none, and no function of
t says the same. Such a function is refused; here is which kind it is, why it is another one, and what can be asked of
it all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = frozenset({"t", "lam", "u", "snr", "sigma", "alpha", "logsnr", "log_snr", "lambda_"})
"""Names for the noise level itself, in one form or another: what a function of them wants is another call."""


@dataclass(frozen=True)
class Other:
    """A kind of factor that is no function of the noise level: names of arguments that show it, and two sentences."""

    name: str
    arguments: frozenset[str]
    why: str
    cure: str


def _other(name: str, arguments: str, why: str, cure: str) -> Other:
    return Other(name, frozenset(arguments.split()), why, cure)


WEIGHTS = (
    _other(
        "a weight by index",
        "i idx index timestep timesteps step_index t_index",
        "levels that are counted have no t",
        "give the numbers as a table: FILE.py:NAME without arguments, .npy or .csv, with --schedule or --path",
    ),
    _other(
        "a weight for every frame or token with a noise level of its own",
        "frame frames frame_index t_frames frame_t levels sigmas ts",
        "a loss over several noise levels at once has no single t",
        "if the factor is one function of each level, judge that one; how levels are drawn together is not seen",
    ),
    _other(
        "a loss divided by the number of masked tokens, or a weight for each token",
        "mask masks masked is_masked num_masked n_masked n_mask tokens token position positions length seq_len",
        "it depends on which tokens are masked, not on t alone",
        "of L tokens about L (1 - alpha) are masked: judge the function of t that it is on average, --process masked",
    ),
    _other(
        "an adaptive weight, which looks at the loss or at the network's output",
        "loss losses mse per_sample_loss error errors residual pred prediction model_output output logits grad_norm",
        "it changes the minimiser, or only its speed where no gradient flows through it, and it changes while training",
        "judge the function of t that multiplies the loss besides; print the factor by t, and judge it as a table",
    ),
    _other(
        "a learned weight, or one that changes in training",
        "logvar log_var uncertainty step global_step epoch iteration iter it params state ema u_t",
        "it is another objective at every step",
        "freeze it: judge its values by t at one step as a table or as a function",
    ),
    _other(
        "a weight that sees the noise",
        "eps noise epsilon z x_noise",
        "with it the loss has another minimiser than the posterior mean",
        "judge the part that depends on t alone; other noise than N(0, I) has no ELBO here",
    ),
    _other(
        "a weight that sees the data",
        "x1 x0 x xt x_t x_start data batch image images latent latents y label labels cond c class_labels target text",
        "with it the loss has another minimiser than the posterior mean, but for a factor of x_t and t",
        "judge the part that depends on t alone; of a loss of target and prediction ask reproflow check divergence",
    ),
    _other(
        "a sum of losses on several heads",
        "heads outputs aux aux_loss losses_dict loss_dict weights",
        "every head has an objective of its own",
        "judge the weight of each head on what it predicts, with --target",
    ),
)
PATHS = (
    _other(
        "an interpolation of two points",
        "x0 x1 x y a b data noise eps z source target start end",
        "a path here is the two coefficients of x_t = alpha x1 + sigma eps, with Gaussian noise in the place of x0",
        "return (alpha, sigma) of t alone; a bridge, or a third term between two data sets, has no such form",
    ),
)
AUDIT = "What the training loss does with all of it: reproflow audit FILE.py:loss --shape C,H,W."
"""The command that runs the loss itself: it needs no function of t."""
SHORT = frozenset({"c", "z", "i", "a", "b", "ts", "it", "iter"})
"""Names that may stand for anything."""
OTHERS = {"weighting": WEIGHTS, "path": PATHS}


def disguised(kind: str, arguments: Sequence[str]) -> bool:
    """Whether a function that could be called says by a name that it is another kind; short names say nothing."""
    names = {each.lower() for each in arguments} - SHORT
    return any(names & other.arguments for other in OTHERS.get(kind, ()))


def words(kind: str, arguments: Sequence[str], called: Sequence[str]) -> str:
    """What a function with these arguments is instead, in a sentence or two; nothing where no name tells.

    `called` is what a function of the kind is called with.
    """
    names = [each.lower() for each in arguments]
    for other in OTHERS.get(kind, ()):
        seen = [each for each in names if each in other.arguments and each not in called]
        if seen:
            return f"With {', '.join(seen)} it is {other.name}: {other.why}. What to do: {other.cure}. {AUDIT}"
    level = [each for each in names if each in LEVEL and each not in called]
    if level and kind == "weighting":
        return f"It is called with t and lam, the log-SNR, and can work out {', '.join(level)}: SNR = exp(lam)."
    return ""
