"""Theory: the components of objectives, one concept a file. Importing this layer registers them all."""

from reproflow.theory import couplings, divergences, paths, targets, times, weightings
from reproflow.theory.processes import base

__all__ = ["couplings", "divergences", "paths", "targets", "times", "weightings"]

base.load()
