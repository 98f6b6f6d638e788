"""A discrete chain under judgement: a weight for each of its levels of noise, judged on those levels alone."""
