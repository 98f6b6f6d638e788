"""The user's own sampler, run with the exact minimiser of the measured loss for data of a known law."""
