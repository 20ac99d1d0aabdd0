"""Runs as jobs of submitit's local executor, which starts processes as Slurm would."""

from __future__ import annotations

import os
import pickletools
import stat
import sys
from pathlib import Path

import pytest

from vlprompt.cli import launching, main
from vlprompt.experiments import read_records
from vlprompt.experiments.jobs import JobCommand
from vlprompt.experiments.slurm import Slurm

pytest.importorskip("submitit")


@pytest.fixture
def command(pictures, backbone_folder, tmp_path, monkeypatch):
    """A benchmark of three runs in a second, but for its output folder."""
    monkeypatch.setenv("VLPROMPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2] / "src"))
    options = ["--methods", "zero-shot,coop", "--shots", "2", "--seeds", "1,2", "--epochs", "3", "--views", "1"]
    return [
        "benchmark",
        "base-to-new",
        f"colours={pictures}",
        *options,
        "--backbone",
        backbone_folder,
        "--threads",
        "1",
    ]


def results(out: Path) -> list[tuple]:
    """All that must be the same to the bit."""
    return sorted((r.settings_hash, r.losses, str(r.results)) for r in read_records(out))


def launching_with(executor: str, monkeypatch) -> None:
    """Let `--launcher slurm` start its jobs by another executor of submitit's."""

    def cluster(options, out, workers, threads):
        return Slurm(out, threads, {}, executor=executor)

    monkeypatch.setattr(launching, "cluster_of", cluster)


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """Slurm's commands, which take jobs and never start them; the file that tells how they were called."""
    calls, folder = tmp_path / "calls", tmp_path / "slurm"
    folder.mkdir()
    for name, says in (("sbatch", "Submitted batch job 7"), ("srun", ""), ("scancel", ""), ("sacct", "")):
        (folder / name).write_text(f"#!/bin/sh\necho {name} $@ >> {calls}\necho {says}\n")
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return calls


@pytest.mark.slow
def test_an_array_of_jobs_computes_what_one_process_does_to_the_bit(command, tmp_path, monkeypatch, capsys):
    launching_with("local", monkeypatch)
    assert main([*command, "--out", str(tmp_path / "jobs"), "--launcher", "slurm"]) == 0
    assert main([*command, "--out", str(tmp_path / "here"), "--workers", "1"]) == 0
    assert len(results(tmp_path / "jobs")) == 3
    assert results(tmp_path / "jobs") == results(tmp_path / "here")
    assert sorted(path.name for path in (tmp_path / "jobs").iterdir()) == ["records", "report.html"]


@pytest.mark.slow
def test_a_job_that_fails_says_why_and_the_same_command_computes_only_what_is_missing(
    command, tmp_path, monkeypatch, capsys
):
    launching_with("local", monkeypatch)
    out = tmp_path / "out"
    of_job = JobCommand.of
    broken = lambda self, run: [*of_job(self, run), *(["--backbone", "no-such"] if run.seed == 2 else [])]
    monkeypatch.setattr(JobCommand, "of", broken)
    assert main([*command, "--out", str(out), "--launcher", "slurm"]) == 2
    said = capsys.readouterr().err
    assert "1 of 3 runs failed" in said
    assert "there is no backbone named 'no-such'" in said
    kept = {path: path.read_bytes() for path in out.rglob("records/**/*.json")}
    assert len(kept) == 2
    monkeypatch.setattr(JobCommand, "of", of_job)
    assert main([*command, "--out", str(out), "--launcher", "slurm"]) == 0
    assert len(read_records(out)) == 3
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_a_job_is_the_ordinary_command_and_computes_its_run_alone(command, tmp_path, capsys):
    out = tmp_path / "out"
    assert main([*command, "--out", str(out), "--launcher", "local", "--run", "colours zero-shot"]) == 0
    assert [record.method.name for record in read_records(out)] == ["zero-shot"]
    assert [path.name for path in out.iterdir()] == ["records"]  # the report is the launcher's


def test_a_run_of_no_such_name_is_refused_with_those_that_are_near(command, tmp_path, capsys):
    assert main([*command, "--out", str(tmp_path / "out"), "--run", "colours coop 2 shots seed 3"]) == 2
    assert "did you mean colours coop 2 shots seed" in capsys.readouterr().err


def test_jobs_may_write_into_a_folder_while_the_launcher_holds_it(command, tmp_path):
    from vlprompt.files.locks import lock_inside

    with lock_inside(tmp_path / "out"):
        assert main([*command, "--out", str(tmp_path / "out"), "--run", "colours zero-shot"]) == 0


def test_a_job_that_is_started_twice_waits_for_the_first_and_keeps_its_record(plan, tmp_path):
    from threading import Thread

    from vlprompt.experiments import queue

    compute = {
        "workers": 1,
        "threads": 1,
        "cache": tmp_path / "cache",
        "only": f"{plan.datasets[0].name} coop 2 shots seed 1",
    }
    found: list[list] = []
    jobs = [Thread(target=lambda: found.append(queue.run(plan, tmp_path / "out", **compute))) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert len(found) == 2
    assert found[0] == found[1]  # a run made again would have other times


def test_of_an_array_nothing_of_ours_is_pickled(tmp_path, slurm):
    jobs = Slurm(tmp_path / "out", 2, {"partition": "gpu"}, at_once=3)
    submitted = jobs._submitted([["true"], ["false"]])
    assert slurm.read_text().startswith("sbatch ")
    pickles = list((tmp_path / "out" / "jobs").glob("*_submitted.pkl"))
    assert len(pickles) == len(submitted) == 2
    for path in pickles:
        codes = list(pickletools.genops(path.read_bytes()))
        words = [argument for _, argument, _ in codes if isinstance(argument, str)]
        assert "subprocess" in words
        assert not any("vlprompt" in word for word in words if "/" not in word)


def test_jobs_are_cancelled_where_the_benchmark_is_stopped(tmp_path, slurm, monkeypatch):
    monkeypatch.setattr("vlprompt.experiments.slurm.time.sleep", _interrupt)
    with pytest.raises(KeyboardInterrupt):
        next(Slurm(tmp_path / "out", 2, {}).run([["true"], ["false"]]))
    assert [line for line in slurm.read_text().splitlines() if "scancel" in line] == ["scancel 7_0", "scancel 7_1"]


def _interrupt(seconds: float) -> None:
    raise KeyboardInterrupt


def test_the_script_of_an_array_has_sbatchs_options(tmp_path):
    script = Slurm(tmp_path, 2, {"partition": "gpu", "gres": "gpu:1", "time": "60"}, at_once=8).script(20)
    assert script.startswith("#!/bin/bash")
    for line in ("array=0-19%8", "partition=gpu", "gres=gpu:1", "time=60", "cpus-per-task=2"):
        assert f"#SBATCH --{line}\n" in script
    assert script.count("--job-name") == 1


def test_without_slurm_one_sentence_says_so_and_nothing_is_lost(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([*command, "--out", str(tmp_path / "out"), "--launcher", "slurm"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--launcher slurm cannot reach Slurm" in said
    assert "the same command goes on" in said


@pytest.mark.parametrize(("launcher", "package"), [("slurm", "submitit")])
def test_a_launcher_whose_package_is_not_installed_names_the_extra(
    command, tmp_path, capsys, monkeypatch, launcher, package
):
    monkeypatch.setitem(sys.modules, package, None)
    assert main([*command, "--out", str(tmp_path / "out"), "--launcher", launcher]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"pip install 'vlprompt[{launcher}]'" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--launcher", "slum"], "--launcher is 'slum'; it must be"),
        (["--slurm", "partition=gpu"], "it is for --launcher slurm"),
        (["--launcher", "slurm", "--slurm", "gpu"], "--slurm has 'gpu'; it must be NAME=VALUE"),
        (["--threads", "0"], "--threads is 0; it must be auto or a number from 1 on"),
    ],
)
def test_launch_options_that_cannot_be_used_are_refused_in_one_sentence(tmp_path, capsys, options, says):
    assert main(["benchmark", "few-shot", "--out", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_commas_within_an_option_of_sbatch_stay_there():
    assert launching._slurm_options("gres=gpu:1,nodelist=a,b,mem=8G") == {
        "gres": "gpu:1", "nodelist": "a,b", "mem": "8G",
    }  # fmt: skip
