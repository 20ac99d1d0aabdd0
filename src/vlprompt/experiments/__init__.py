"""Experiments: a plan of runs, a queue, results as records. Importing this does not import torch."""

from vlprompt.experiments.plan import MethodRun, Plan
from vlprompt.experiments.queue import run
from vlprompt.experiments.records import ResultRecord, TestResult, read_record, read_records, write_record

__all__ = ["MethodRun", "Plan", "ResultRecord", "TestResult", "read_record", "read_records", "run", "write_record"]
