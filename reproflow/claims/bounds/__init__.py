"""ST-1 to ST-15: reweighted losses as sums of variational bounds (after 001)."""
