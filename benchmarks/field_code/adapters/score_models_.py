"""score-models: denoising score matching of the VE SDE."""

from types import SimpleNamespace

from score_models.dsm import denoising_score_matching
from score_models.sde import VESDE


def ncsn(model, x1):
    return denoising_score_matching(SimpleNamespace(model=model, sde=VESDE(0.01, 50.0), device=x1.device), x1)
