"""torchcfm: the matcher makes time, state and velocity; the squared error is the examples'."""

import torch
from torchcfm.conditional_flow_matching import ConditionalFlowMatcher, VariancePreservingConditionalFlowMatcher


def _loss(matcher, model, x1):
    t, state, velocity = matcher.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
    return ((model(t, state) - velocity) ** 2).mean()


def fm(model, x1):
    return _loss(ConditionalFlowMatcher(sigma=0.0), model, x1)


def gvp(model, x1):
    return _loss(VariancePreservingConditionalFlowMatcher(sigma=0.0), model, x1)
