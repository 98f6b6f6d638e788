"""LOSS-1 to LOSS-7: which losses share a gradient, a minimiser or a factor, and where they are infinite."""
