"""The columns of `cascade.csv`, for readers that do not import torch."""

COLUMNS = [
    "cell", "process", "dataset", "path", "weighting", "target", "seed", "quantity", "at", "value", "se",
    "reference", "reference_se", "verdict", "control", "control_verdict", "reason",
]  # fmt: skip
