"""Theory: the nouns of the field, one concept a file. Importing this wing registers them all."""

from reproflow.theory import divergences, paths, targets, times, weightings

__all__ = ["divergences", "paths", "targets", "times", "weightings"]
