"""A weighting under judgement: hypotheses, bound property, what it is equivalent to, and how noisy its gradient is."""
