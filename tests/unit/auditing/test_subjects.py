"""What a loss is called with: tokens of the vocabulary, without the mask."""

from __future__ import annotations

import pytest

from reproflow import audit
from reproflow.foundation.errors import UsageError


def test_tokens_are_below_the_vocabulary_wherever_the_mask_is() -> None:
    """Three words with the mask far above them: no other number is drawn, and each of the three is."""
    seen: set[int] = set()

    def loss(model, x1):
        seen.update(x1.flatten().tolist())
        raise ValueError("seen")

    with pytest.raises(UsageError, match="seen"):
        audit(loss, (40,), vocab=3, mask=90)
    assert seen == {0, 1, 2}
