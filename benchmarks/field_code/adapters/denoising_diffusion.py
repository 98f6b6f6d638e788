"""denoising-diffusion-pytorch: its wrappers take images from [0, 1] and ask the network for attributes."""

from denoising_diffusion_pytorch import (
    ElucidatedDiffusion,
    GaussianDiffusion,
    VParamContinuousTimeGaussianDiffusion,
    simple_diffusion,
)


def _network(model):
    model.channels, model.out_dim, model.self_condition = 3, 3, False
    model.random_or_learned_sinusoidal_cond = True
    return model


def _steps(model, x1, **options):
    model = _network(model)
    model.random_or_learned_sinusoidal_cond = False
    wrapped = GaussianDiffusion(model, image_size=x1.shape[-1], beta_schedule="cosine", **options)
    return wrapped(x1)


def iddpm(model, x1):
    return _steps(model, x1, objective="pred_noise")


def min_snr(model, x1):
    return _steps(model, x1, objective="pred_noise", min_snr_loss_weight=True)


def v_cosine(model, x1):
    return VParamContinuousTimeGaussianDiffusion(_network(model), image_size=x1.shape[-1])(x1)


def edm(model, x1):
    return ElucidatedDiffusion(_network(model), image_size=x1.shape[-1])(x1)


def shifted_cosine(model, x1):
    size = x1.shape[-1]  # noise as at a quarter of the resolution
    options = {"image_size": size, "noise_d": size // 4, "pred_objective": "eps", "min_snr_loss_weight": False}
    return simple_diffusion.GaussianDiffusion(_network(model), **options)(x1)
