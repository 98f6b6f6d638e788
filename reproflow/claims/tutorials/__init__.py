"""TUT-1 to TUT-13: what the tutorials say of sampling times, averaging, clipping, solvers and straight paths."""
