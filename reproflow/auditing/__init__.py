"""A user's own training loss, run and read: what does it train?

`audit(loss, shape=(3, 32, 32))` calls `loss(model, x1)` with a network that records its calls and answers what it is
set to, under a tape of all random draws. Draws, data and answers are changed one at a time; everything else is played
back. So the state, the target, the coefficient and the law of the times are read off, not fitted to noise.
"""
