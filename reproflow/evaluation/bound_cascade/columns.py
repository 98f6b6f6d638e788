"""The columns of `cascade.csv` and the tolerance of its identities, for readers that do not import torch."""

TOLERANCE = 0.1
"""How far the two sides of Theorem 2 may be apart, as a share of the loss."""

REPLICATES = 8
"""Of a weighted sum: the fewest behind any error of the table, so that its t has seven degrees of freedom."""

COLUMNS = [
    "cell", "process", "dataset", "path", "weighting", "target", "seed", "quantity", "at", "value", "se",
    "reference", "reference_se", "verdict", "control", "control_verdict", "reason",
]  # fmt: skip
