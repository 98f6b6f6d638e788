"""smalldiffusion: a schedule of sigmas, eps of x1 + sigma eps."""

from smalldiffusion import ScheduleDDPM, ScheduleLDM, generate_train_sample
from smalldiffusion.model import ModelMixin


def _loss(schedule, model, x1):
    x0, sigma, eps, _ = generate_train_sample(x1, schedule)
    return ModelMixin.get_loss(model, x0, sigma, eps)


def ddpm(model, x1):
    return _loss(ScheduleDDPM(), model, x1)


def stable_diffusion(model, x1):
    return _loss(ScheduleLDM(), model, x1)
