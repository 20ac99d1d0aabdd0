"""Fixtures that several rooms share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def tiny_backbone():
    """A random frozen CLIP: 32 px images, E = 64, D = 128, three text layers, the full CLIP tokenizer."""
    from tests.tiny_models import tiny_backbone

    return tiny_backbone()
