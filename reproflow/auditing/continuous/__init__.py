"""Losses of real data: the state, the target, the coefficient and the law of the times, read off one loss.

`instrument.read` runs the whole; the other files are its steps, in the order frames, squared, not_affine, draw_roles,
neighbours, fit, levels, drawn, weights.
"""
