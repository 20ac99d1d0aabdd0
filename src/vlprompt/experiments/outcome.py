"""How a run ended, wherever it was computed."""

from __future__ import annotations

from dataclasses import dataclass

from vlprompt.experiments.plan import Run
from vlprompt.experiments.records import ResultRecord


@dataclass(frozen=True)
class Outcome:
    """How a run ended: with a record, or with a reason and its traceback."""

    run: Run
    record: ResultRecord | None
    reason: str = ""
    trace: str = ""
    warnings: tuple[str, ...] = ()
