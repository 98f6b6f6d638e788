"""flow_matching: the path makes state and velocity; the rest is its examples'."""

import torch
from flow_matching.loss import MixturePathGeneralizedKL
from flow_matching.path import AffineProbPath, MixtureDiscreteProbPath
from flow_matching.path.scheduler import CondOTScheduler, CosineScheduler, PolynomialConvexScheduler

MASK = 12


def _loss(scheduler, model, x1):
    sample = AffineProbPath(scheduler=scheduler).sample(t=torch.rand(len(x1)), x_0=torch.randn_like(x1), x_1=x1)
    return ((model(sample.x_t, sample.t) - sample.dx_t) ** 2).mean()


def fm(model, x1):
    return _loss(CondOTScheduler(), model, x1)


def gvp(model, x1):
    return _loss(CosineScheduler(), model, x1)


def kl_linear(model, x1):
    path = MixtureDiscreteProbPath(scheduler=PolynomialConvexScheduler(n=1.0))
    t = torch.rand(len(x1)) * (1 - 1e-3)
    sample = path.sample(t=t, x_0=torch.full_like(x1, MASK), x_1=x1)
    return MixturePathGeneralizedKL(path=path)(model(sample.x_t, t), x1, sample.x_t, t)


def simple_cubic(model, x1):
    path = MixtureDiscreteProbPath(scheduler=PolynomialConvexScheduler(n=3.0))
    sample = path.sample(t=torch.rand(len(x1)), x_0=torch.full_like(x1, MASK), x_1=x1)
    return torch.nn.functional.cross_entropy(model(sample.x_t, sample.t).transpose(1, 2), x1)
