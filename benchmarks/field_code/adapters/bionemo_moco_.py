"""bionemo-moco: the continuous ELBO of Gaussian diffusion, and of masked tokens by two schedules."""

import torch
from bionemo.moco.distributions.prior import DiscreteMaskedPrior, GaussianPrior
from bionemo.moco.distributions.time import UniformTimeDistribution
from bionemo.moco.interpolants import MDLM, VDM
from bionemo.moco.schedules.noise.continuous_noise_transforms import CosineExpNoiseTransform, LogLinearExpNoiseTransform
from bionemo.moco.schedules.noise.continuous_snr_transforms import CosineSNRTransform


def vdm(model, x1):
    vdm = VDM(UniformTimeDistribution(), GaussianPrior(), CosineSNRTransform(), prediction_type="noise")
    t, noise = vdm.sample_time(len(x1)), torch.randn_like(x1)
    answer = model(vdm.interpolate(x1, t, noise), t)
    return vdm.loss(answer, noise, t, weight_type="variational_objective_continuous_noise").mean()


def _tokens(schedule, model, x1, **options):
    mdlm = MDLM(UniformTimeDistribution(), DiscreteMaskedPrior(num_classes=13), schedule)
    t = mdlm.sample_time(len(x1))
    x_t = mdlm.interpolate(x1, t)
    return mdlm.loss(model(x_t, t), x1, x_t, t, **options).mean()


def mdlm(model, x1):
    return _tokens(LogLinearExpNoiseTransform(), model, x1)


def md4(model, x1):
    return _tokens(CosineExpNoiseTransform(), model, x1)


def simple_linear(model, x1):
    return _tokens(LogLinearExpNoiseTransform(), model, x1, use_weight=False)
