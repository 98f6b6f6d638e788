"""The learning rate over the steps of a run."""

from __future__ import annotations

import math

from reproflow.foundation.config import Training


def learning_rate(training: Training, step: int) -> float:
    """Linear warm-up to `lr` over `warmup` steps, then half a cosine down to zero at `steps`."""
    if step < training.warmup:
        return training.lr * (step + 1) / training.warmup
    done = (step - training.warmup) / (training.steps - training.warmup)
    return 0.5 * training.lr * (1 + math.cos(math.pi * done))
