from __future__ import annotations

from dataclasses import replace

from tests.report.conftest import make_record
from vlprompt.experiments.git_state import GitState
from vlprompt.report.facts import facts


def told(*records):
    return dict(facts(records, ["coop"], [1], "16"))


def test_commit_and_memory_are_told_where_the_records_have_them():
    first = replace(make_record("a", "coop", 1, 80, 70), peak_bytes=2**30, git={"vlprompt": GitState("a" * 40, False)})
    second = replace(first, peak_bytes=3 * 2**30, git={"vlprompt": GitState("a" * 40, True)})
    assert told(first, second)["Memory"] == "at most 3.0 GiB in a run"
    assert told(first, second)["Commit"] == "vlprompt aaaaaaaaaaaa; vlprompt aaaaaaaaaaaa with changes"
    assert told(replace(first, peak_gpu_bytes=2**31))["Memory"] == "at most 1.0 GiB and 2.0 GiB of the GPU's in a run"


def test_records_of_earlier_versions_tell_neither():
    assert not {"Memory", "Commit"} & told(make_record("a", "coop", 1, 80, 70)).keys()
