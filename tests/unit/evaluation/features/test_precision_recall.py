"""Precision and recall: against a loop over points, cases whose answers are known, and what asking for them changes."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from reproflow.evaluation.collect import CELL_COLUMNS, cell_columns
from reproflow.evaluation.features.precision_recall import CHUNK, _measured, covered
from reproflow.foundation import config, fingerprint, grid, measures
from reproflow.foundation.errors import ConfigError


def brute(points: np.ndarray, region: np.ndarray, k: int) -> list[bool]:
    """The definition, point by point: within the distance of a member to its k-th nearest other member."""
    radii = []
    for i, member in enumerate(region):
        others = sorted(math.dist(member, other) for j, other in enumerate(region) if j != i)
        radii.append(others[k - 1])
    return [any(math.dist(x, c) <= r for c, r in zip(region, radii, strict=True)) for x in points]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_against_the_definition_point_by_point(k: int) -> None:
    generator = np.random.default_rng(k)
    x, y = generator.standard_normal((60, 4)), 0.8 * generator.standard_normal((45, 4)) + 1.2
    for points, region in ((x, y), (y, x)):
        found = covered(torch.tensor(points), torch.tensor(region), k).tolist()
        assert found == brute(points, region, k)
        assert 0 < sum(found) < len(found)


def both(samples: torch.Tensor, data: torch.Tensor) -> tuple[float, float]:
    """Precision and recall."""
    return float(covered(samples, data).double().mean()), float(covered(data, samples).double().mean())


def clusters(*centres: float, n: int = 300, seed: int = 0) -> torch.Tensor:
    """n points around each centre, which lie far apart."""
    noise = torch.randn(len(centres), n, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (noise + 100 * torch.tensor(centres, dtype=torch.float64)[:, None, None]).flatten(0, 1)


def test_equal_sets_cover_each_other_and_disjoint_ones_do_not() -> None:
    data = clusters(0, 1)
    assert len(data) > CHUNK
    assert both(data, data) == (1.0, 1.0)
    assert both(data + 1e6, data) == (0.0, 0.0)


def test_a_dropped_mode_lowers_recall_alone_and_an_invented_one_precision() -> None:
    data = clusters(0, 1)
    whole, dropped, invented = clusters(0, 1, seed=1), clusters(0, n=600, seed=1), clusters(0, 1, 2, seed=1)
    precision, recall = both(whole, data)
    assert min(precision, recall) > 0.9
    assert both(dropped, data)[0] > 0.9
    assert both(dropped, data)[1] == pytest.approx(recall / 2, abs=0.05)
    assert both(invented, data)[0] == pytest.approx(precision * 2 / 3, abs=0.05)
    assert both(invented, data)[1] == pytest.approx(recall, abs=0.05)


def test_the_error_is_that_of_a_fraction() -> None:
    found = _measured(torch.tensor([True] * 30 + [False] * 10))
    assert (found.value, found.se) == (0.75, pytest.approx(math.sqrt(0.75 * 0.25 / 40)))


def asking(config_: dict, *names: str) -> config.Config:
    text = json.loads(json.dumps(config_))
    text["experiments"][0] |= {"dataset": "digits8", "targets": ["velocity"], "sampling": {"n": 500}}
    return config.check(text | {"experiments": [text["experiments"][0] | ({"measures": list(names)} if names else {})]})


def test_they_are_computed_where_they_are_asked_for(tiny_config: dict) -> None:
    """Columns behind the others, and another evaluation, of the cells of that experiment alone."""
    plain, asked = asking(tiny_config), asking(tiny_config, "recall", "precision")
    assert cell_columns(plain.experiments) == CELL_COLUMNS
    assert cell_columns(asked.experiments) == [*CELL_COLUMNS, "precision", "precision_se", "recall", "recall_se"]
    assert [m.name for m in measures.chosen("gaussian", True, ["recall"]) if not m.facts.usual] == ["recall"]
    cell = grid.expand(plain)[0]
    stages = [[fingerprint.stage(each, cell, stage).value for stage in fingerprint.STAGES] for each in (plain, asked)]
    assert [a == b for a, b in zip(*stages, strict=True)] == [True, True, False]


@pytest.mark.parametrize("names", [["presicion"], ["fid_train"], ["recall", "recall"]])
def test_what_cannot_be_asked_for_is_refused(tiny_config: dict, names: list[str]) -> None:
    with pytest.raises(ConfigError, match="measures"):
        asking(tiny_config, *names)


def test_points_have_no_features(tiny_config: dict) -> None:
    tiny_config["experiments"][0]["measures"] = ["recall"]
    with pytest.raises(ConfigError, match="'recall', which gaussian cells on eight_gaussians do not have"):
        config.check(tiny_config)
