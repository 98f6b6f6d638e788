"""A divergence under judgement: are gradients equal, is the truth the minimum, and what is targeted otherwise."""
