"""Losses of masked tokens: what replaces a token, at which rate, and the coefficient by that rate."""
