"""Theory: the nouns of the field, one concept a file. Importing this wing registers them all."""

from reproflow.theory import couplings, divergences, paths, targets, times, weightings

__all__ = ["couplings", "divergences", "paths", "targets", "times", "weightings"]
