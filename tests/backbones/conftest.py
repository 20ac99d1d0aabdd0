from __future__ import annotations

import pytest

from vlprompt.backbones import downloads


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "cached_file", lambda config: None)
    monkeypatch.setattr(downloads, "reachable", lambda address: False)
