"""Erratum in 003's diffusion transformer: its block does not run, and where it does it mixes samples (E13)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reproflow.claims.errata import defects
from reproflow.claims.errata.erratum import erratum
from reproflow.claims.policy import Context, Measurement

ARGUMENTS = "attention of one argument"
ANSWER = "attention returns a pair"
AXES = "tokens first"
GATES = "gates without a token axis"
IDENTITY = "no zero start"
UNDEFINED = "parts undefined"
WIDTH = 8


class GatedAttention(nn.Module):
    """x + gate attention((1 + scale) norm(x) + shift), the first half of the block; the second repeats its pattern.

    x (B, N, D) tokens, c (B, D) conditioning; `fault` names the one thing that is as printed.
    """

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.norm = nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=fault != AXES)
        self.modulation = nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate = self.modulation(nn.functional.silu(c)).chunk(3, dim=-1)
        h = self.norm(x) * (1 + scale[:, None]) + shift[:, None]
        attended = self.attention(h) if self.fault == ARGUMENTS else self.attention(h, h, h)
        if self.fault != ANSWER:
            attended, _ = attended
        return x + (gate if self.fault == GATES else gate[:, None]) * attended


@erratum(
    "E13",
    title="003's DiT block: attention's call and answer, axes, gates",
    source="003, Diffusion Transformer (DiT)",
    tolerance=0.0,
    controls=(ARGUMENTS, ANSWER, AXES, GATES),
    textual={
        IDENTITY: "the page does not say how its 'AdaLN modulation' starts; the blocks of its reference 3 start as "
        "the identity (adaLN-zero)",
        UNDEFINED: "the page calls PatchEmbed, TimestepEmbedder and FinalLayer and defines none of them",
    },
)
def dit(form: str, context: Context) -> Measurement:
    """Attention wants q, k, v, returns a pair, puts tokens first; gates (B, D) against (B, N, D) fail or mix samples.

    Statement: the block maps tokens (B, N, D) and conditioning (B, D) to tokens, sample by sample.
    Assumptions: torch.nn.MultiheadAttention, as on the page.
    Computed: the attention half of the block, width 8, the number of defects that show, each built in alone: called
        with one argument (TypeError); its answer (output, weights) multiplied as if it were a tensor (TypeError); made
        without batch_first, so that it attends over samples (silent); gates without a token axis: RuntimeError at 2
        samples of 5 tokens, and silent at 5 of 5, where sample 1's gate goes to token 1 of every sample. Silent ones
        are measured as a leak: how far the output of sample 0 moves when tokens and conditioning of sample 1 do; it
        must be 0.
    Source: 003, "Diffusion Transformer (DiT)": "self.attn = nn.MultiheadAttention(dim, num_heads)" and
        "x = x + gate_msa * self.attn(", where gate_msa is a sixth of "self.adaLN_modulation(c)".
    Refuted by: one defect that shows. Each defect alone in the corrected block is a control.
    """
    attempts: dict[str, defects.Attempt] = {
        ARGUMENTS: lambda faulty: _fails(ARGUMENTS if faulty else ""),
        ANSWER: lambda faulty: _fails(ANSWER if faulty else ""),
        AXES: lambda faulty: leak(AXES if faulty else "", 2, 5),
        GATES: lambda faulty: _gates(GATES if faulty else ""),
    }
    return defects.count(attempts, form)


@torch.no_grad()
def leak(fault: str, samples: int, tokens: int) -> Measurement:
    """How far the output of sample 0 moves when tokens and conditioning of sample 1 do."""
    block, x, c = _case(fault, samples, tokens)
    x_moved, c_moved = x.clone(), c.clone()
    x_moved[1], c_moved[1] = -x[1], c[1] + 1
    moved = float((block(x_moved, c_moved) - block(x, c))[0].abs().max())
    return Measurement(moved, detail=f"at {samples} samples of {tokens} tokens, sample 1 leaks {moved:.3g} into 0")


def _case(fault: str, samples: int, tokens: int) -> tuple[GatedAttention, Tensor, Tensor]:
    block = defects.seeded(lambda: GatedAttention(fault), "E13")
    return block, defects.noise(samples, tokens, WIDTH, purpose="E13 x"), defects.noise(samples, WIDTH, purpose="E13 c")


def _fails(fault: str) -> Measurement:
    block, x, c = _case(fault, 2, 5)
    return defects.raises(TypeError, lambda: block(x, c))


def _gates(fault: str) -> Measurement:
    block, x, c = _case(fault, 2, 5)
    fails, silent = defects.raises(RuntimeError, lambda: block(x, c)), leak(fault, 5, 5)
    return Measurement(fails.statistic + silent.statistic, detail=f"{fails.detail}; {silent.detail}")
