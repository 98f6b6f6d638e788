"""`check --train`: a weighting trained beside registered neighbours. `plan` is light; `experiment` takes seconds."""
