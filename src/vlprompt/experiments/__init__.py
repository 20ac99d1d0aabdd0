"""Published protocols: their runs, their results as records. Importing this does not import torch."""

from vlprompt.experiments.plan import BaseToNewPlan, MethodRun
from vlprompt.experiments.queue import run_base_to_new
from vlprompt.experiments.records import ResultRecord, read_record, read_records, write_record

__all__ = [
    "BaseToNewPlan",
    "MethodRun",
    "ResultRecord",
    "read_record",
    "read_records",
    "run_base_to_new",
    "write_record",
]
