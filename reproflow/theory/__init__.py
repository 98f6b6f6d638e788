"""Theory: the components of objectives, one concept a file. Importing this layer registers them all."""

from reproflow.theory import couplings, divergences, paths, targets, times, weightings

__all__ = ["couplings", "divergences", "paths", "targets", "times", "weightings"]
