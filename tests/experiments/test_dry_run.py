from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from vlprompt.cli import dry_runs, main, reproducing
from vlprompt.experiments import queue
from vlprompt.experiments.forecast import ExpectedRun, Forecast, forecast
from vlprompt.experiments.rates import Rate


@pytest.fixture
def command(pictures, backbone_folder, tmp_path, monkeypatch):
    """A benchmark of three runs, but for its output folder."""
    monkeypatch.setenv("VLPROMPT_CACHE", str(tmp_path / "cache"))
    options = ["--methods", "zero-shot,coop", "--shots", "2", "--seeds", "1,2", "--epochs", "3", "--views", "1"]
    options += ["--backbone", backbone_folder, "--workers", "1", "--out", str(tmp_path / "out")]
    return ["benchmark", "base-to-new", f"colours={pictures}", *options]


def test_a_dry_run_prints_the_runs_in_their_order_and_writes_nothing(command, tmp_path, capsys):
    assert main([*command, "--dry-run"]) == 0
    said = capsys.readouterr()
    rows = [line.split("\t") for line in said.out.splitlines()]
    assert rows[0] == ["#", "run", "steps", "time", "memory"]
    names = ["colours zero-shot", "colours coop 2 shots seed 1", "colours coop 2 shots seed 2"]
    assert [row[1] for row in rows[1:]] == names
    assert [row[2] for row in rows[1:]] == ["0", "3", "3"]  # 6 pictures are one batch, in each of 3 epochs
    assert all(row[3].endswith(" s") for row in rows[1:])
    assert "3 runs, of which 0 are finished" in said.err
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_what_is_finished_as_json_and_leaves_it_as_it_is(command, tmp_path, capsys):
    assert main([*command, "--run", "colours coop 2 shots seed 2"]) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    capsys.readouterr()
    assert main([*command, "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [run["finished"] for run in told["runs"]] == [False, False, True]
    assert (told["finished"], told["missing"], told["not_measured"]) == (1, 2, 0)
    assert told["runs"][1]["seconds"] > 0
    assert told["seconds"] >= sum(run["seconds"] for run in told["runs"][:2])
    # 5 classes with 2 test pictures; one view of 2 pictures of each of 3 base classes.
    assert told["pictures"] == 10 + 6
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_a_dry_run_shows_slurms_script_and_the_first_job(command, tmp_path, capsys):
    pytest.importorskip("submitit")
    assert main([*command, "--dry-run", "--launcher", "slurm", "--slurm", "partition=gpu"]) == 0
    said = capsys.readouterr().err
    assert "#SBATCH --array=0-2%1\n" in said
    assert "#SBATCH --partition=gpu\n" in said
    assert "--dry-run" not in said
    assert "--launcher local --workers 1 --threads 4 --no-progress '--run=colours zero-shot'" in said


def test_json_without_a_dry_run_is_refused(command, capsys):
    assert main([*command, "--json"]) == 2
    assert "--json is given without --dry-run" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["cocoop", "gda", "maple"])
def test_methods_of_every_kind_are_measured(plan, method, tmp_path):
    """A prompt that depends on the picture, a head that is set up from all pictures, and one that reads pixels."""
    protocol = plan.protocol if method != "gda" else _few_shot()
    prepared = queue.prepare(replace(plan, protocol=protocol, methods=(method,), seeds=(1,)))
    ahead = forecast(prepared, tmp_path / "out", 1, 1)
    (one,) = ahead.missing
    assert one.seconds is not None
    assert one.seconds > 0
    assert not ahead.unknown
    assert (ahead.pictures == 0) == (method == "maple")


def test_runs_that_could_not_be_measured_in_time_are_told_and_not_counted(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("vlprompt.experiments.forecast.MEASURING_SECONDS", 0.0)
    ahead = forecast(queue.prepare(plan), tmp_path / "out", 1, 1)
    assert len(ahead.unknown) == len(ahead.missing) == 5
    assert ahead.seconds == pytest.approx(ahead.pictures * ahead.picture_s)
    assert any(line.startswith("Not counted") and "cocoop" in line for line in dry_runs._totals(ahead))


def test_time_is_shared_among_workers_and_no_shorter_than_the_longest_run(plan):
    run = queue.prepare(replace(plan, methods=("zero-shot",))).runs[0]
    runs = tuple(ExpectedRun(run, False, 0, seconds, 10) for seconds in (1.0, 2.0, 9.0))
    ahead = Forecast(runs, pictures=0, picture_s=0.1, workers=2, threads=1)
    assert ahead.seconds == 9.0
    assert replace(ahead, pictures=80).seconds == pytest.approx((12 + 8) / 2)
    assert ahead.memory_bytes == 20


def test_a_rate_lies_on_the_line_through_the_fewest_and_the_most_names():
    from vlprompt.experiments.forecast import _between

    rates = [Rate(10, 0.0, 1.0, 0.0, None), Rate(110, 0.0, 3.0, 0.0, None)]
    assert _between(rates, "step_s", 60) == pytest.approx(2.0)
    assert _between(rates[:1], "step_s", 60) == 1.0


def test_many_runs_are_counted_by_data_set_and_method(command, capsys, monkeypatch):
    monkeypatch.setattr(dry_runs, "LISTED_RUNS", 2)
    assert main([*command, "--dry-run"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[:5] for row in rows[1:]] == [
        ["colours", "zero-shot", "1", "0", "0"],
        ["colours", "coop", "2", "0", "3"],
    ]


def _few_shot():
    from vlprompt.protocols import FEW_SHOT

    return FEW_SHOT


def test_a_table_is_reproduced_as_a_dry_run(tmp_path, monkeypatch, backbone_folder, capsys):
    from tests.data.published.trees import write_tree

    of_table = reproducing.commands_of
    options = lambda table: of_table(table)[0][of_table(table)[0].index("--methods") :]
    only_dtd = lambda table: [["benchmark", table.protocol, "dtd", *options(table)]]
    monkeypatch.setattr(reproducing, "commands_of", only_dtd)
    monkeypatch.setattr("vlprompt.cli.reproducing._check_data", lambda *_: None)
    for path in write_tree("dtd", tmp_path).rglob("*.jpg"):
        Image.new("RGB", (16, 16)).save(path)
    monkeypatch.chdir(tmp_path)
    more = ["--root", str(tmp_path), "--backbone", backbone_folder, "--workers", "1", "--shots", "1", "--dry-run"]
    assert main(["benchmark", "reproduce", "cocoop-table-1", *more]) == 0
    assert capsys.readouterr().out.count("dtd cocoop 1 shots seed") == 3
    assert not Path("runs").exists()
