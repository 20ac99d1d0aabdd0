"""The benchmark of what `auto` loses against the best of its members."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.report.conftest import make_few_shot_record
from tests.tools.tool_modules import tool
from vlprompt.experiments.records import write_record

regret = tool("regret")


def cell(chosen: str, own: dict[str, float], shots: int = 4) -> dict:
    accuracy = {name: {"test": dict.fromkeys(("flat", "3d", "high-contrast"), share)} for name, share in own.items()}
    return {"data": "emoji-food", "shots": shots, "seed": 1, "choice": {"method": chosen}, "accuracy": accuracy}


SHARES = {"zero-shot": 60.0, "blend": 85.0, "gda": 90.0, "linear-probe": 93.0, "tip-adapter": 88.0, "lp++": 70.0}


def test_regret_is_the_best_member_minus_what_was_chosen() -> None:
    assert regret.regret(cell("gda", SHARES), "test", "flat") == 3.0
    assert regret.regret(cell("linear-probe", SHARES), "test", "3d") == 0.0


def test_the_table_has_a_row_for_each_number_of_shots() -> None:
    summary = regret.summarise([cell("gda", SHARES, 1), cell("linear-probe", SHARES, 4)], "test")
    rows = summary["styles"]["own"]["rows"]
    assert [(row["shots"], row["mean_regret"], row["auto"]) for row in rows] == [(1, 3.0, 90.0), (4, 0.0, 93.0)]
    assert summary["styles"]["own"]["mean_regret"] == 1.5
    assert "| 1 | 3.00 | 3.0 | 90.0 |" in regret.as_markdown(summary, "test")


def test_trained_methods_of_a_few_shot_benchmark_are_members_of_the_cells_that_it_has(tmp_path: Path) -> None:
    cells = {("emoji-food", shots, 1): cell("gda", SHARES, shots) for shots in (1, 4)}
    record = make_few_shot_record("emoji-food", "coop", 4, 1, {"test": 94.0, "3d": 80.0, "high-contrast": 50.0})
    write_record(tmp_path, record)
    regret.add_trained(cells, tmp_path)
    own = record.results["test"].accuracy
    assert regret.regret(cells["emoji-food", 4, 1], "test", "flat") == own - SHARES["gda"]
    assert regret.regret(cells["emoji-food", 1, 1], "test", "flat") == 3.0
    table = regret.as_markdown(regret.summarise(list(cells.values()), "test"), "test")
    assert "coop is a member, and its mean is, of 1 of the cells." in table


def test_the_command_makes_tables_of_cells_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cells.jsonl").write_text(json.dumps(cell("gda", SHARES) | {"seed": 1}) + "\n")
    write_record(
        tmp_path / "few",
        make_few_shot_record("emoji-food", "coop", 4, 1, {"test": 94.0, "3d": 80.0, "high-contrast": 50.0}),
    )
    options = ["--datasets", "emoji-food", "--seeds", "1", "--shots", "4", "--beside", str(tmp_path / "few")]
    monkeypatch.setattr(sys, "argv", ["regret.py", str(tmp_path), *options])
    regret.main()
    assert json.loads((tmp_path / "regret.json").read_text())["styles"]["own"]["rows"][0]["mean_regret"] == 4.0


def test_results_without_a_trained_method_of_the_cells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no few-shot record of a trained method"):
        regret.add_trained({("emoji-food", 1, 1): cell("gda", SHARES, 1)}, tmp_path)


@pytest.mark.slow
def test_the_benchmark_runs_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "tools/regret.py"
    command = [sys.executable, str(script), str(tmp_path), "--datasets", "emoji-faces", "--seeds", "1", "--shots", "1"]
    subprocess.run(command, check=True, capture_output=True)
    kept = (tmp_path / "cells.jsonl").read_text()
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "cells.jsonl").read_text() == kept
    assert json.loads((tmp_path / "regret.json").read_text())["cells"] == 1
