"""Losses of masked tokens: what replaces a token, at which rate, and the coefficient on the cross-entropy by that rate."""
