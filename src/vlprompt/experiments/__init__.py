"""Experiments: a plan of runs, a queue, results as records. Importing this does not import torch.

The names load when they are first used, so that whoever lists the protocols waits for nothing else.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlprompt.experiments.method_run import MethodRun as MethodRun
    from vlprompt.experiments.plan import Plan as Plan
    from vlprompt.experiments.queue import run as run
    from vlprompt.experiments.records import ResultRecord as ResultRecord
    from vlprompt.experiments.records import TestResult as TestResult
    from vlprompt.experiments.records import read_record as read_record
    from vlprompt.experiments.records import read_records as read_records
    from vlprompt.experiments.records import write_record as write_record

_HOMES = {
    "MethodRun": "method_run",
    "Plan": "plan",
    "ResultRecord": "records",
    "TestResult": "records",
    "read_record": "records",
    "read_records": "records",
    "run": "queue",
    "write_record": "records",
}

__all__ = ["MethodRun", "Plan", "ResultRecord", "TestResult", "read_record", "read_records", "run", "write_record"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlprompt.experiments' has no attribute {name!r}")
    return getattr(import_module(f"vlprompt.experiments.{_HOMES[name]}"), name)
