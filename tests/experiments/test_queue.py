from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from vlprompt.backbones import load_backbone
from vlprompt.backbones.earlier_fingerprints import earlier_fingerprints
from vlprompt.data.catalogue import load_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.fingerprint import dataset_fingerprint
from vlprompt.data.samples import Dataset
from vlprompt.errors import (
    BenchmarkInterrupted,
    DataError,
    FailedRunsError,
    OutputError,
    SettingsError,
    UnreadableImagesError,
)
from vlprompt.experiments import MethodRun, Plan, ResultRecord, read_records
from vlprompt.experiments import queue as protocol
from vlprompt.experiments import run as run_plan
from vlprompt.experiments.records import hash_settings, write_record
from vlprompt.experiments.running import describe_failure
from vlprompt.experiments.used_pictures import draw
from vlprompt.model.cautions import DrawingsOnlyWarning
from vlprompt.model.evaluation import UntestedClassesWarning
from vlprompt.protocols import BASE_TO_NEW

FAILING = """
from vlprompt.methods.coop import CoOp

class Failing(CoOp):
    name = "failing"

    def forward(self, image_features):
        raise RuntimeError("this method never works")

class Dying(CoOp):
    name = "dying"

    def forward(self, image_features):
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
"""


TELLING = """
from vlprompt.methods.zero_shot import ZeroShot

class Telling(ZeroShot):
    name = "telling"

    def prepare(self):
        super().prepare()
        with open({told!r}, "a") as file:
            file.write(" ".join(self.class_names) + "\\n")
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a plan without touching the user's feature cache, as on one core: threads that spin wait for each other."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    return lambda plan, out=tmp_path / "out", **options: run_plan(plan, out, cache=tmp_path / "cache", **options)


def _without_times(record: ResultRecord) -> dict:
    return {
        "settings": record.settings,
        "results": record.results,
        "final_loss": record.final_loss,
        "settings_hash": record.settings_hash,
    }


def test_every_run_of_the_plan_gets_a_record(plan, run, tmp_path):
    records = run(plan, workers=1)
    assert [(record.method.label, record.seed) for record in records] == [
        ("zero-shot", 0), ("coop", 1), ("cocoop", 1), ("coop", 2), ("cocoop", 2),
    ]  # fmt: skip
    assert sorted(read_records(tmp_path / "out"), key=str) == sorted(records, key=str)
    for record in records:
        assert record.results["base"].total == 3 * 2
        assert record.results["new"].total == 2 * 2
        assert (record.final_loss is None) == (record.method.label == "zero-shot")
        assert record.versions["torch"]
        assert len(record.losses) == (record.training or {"epochs": 0})["epochs"]
        assert record.losses[-1:] == (() if record.final_loss is None else (record.final_loss,))
        for result in record.results.values():
            right = sum(count for (true, predicted), count in result.confused.items() if true == predicted)
            assert right == result.correct == sum(result.calibration.correct)
        assert record.peak_bytes is None or record.peak_bytes > 50_000_000  # torch alone takes more
    assert not (tmp_path / "out" / "work").exists()


def test_a_second_run_computes_nothing(plan, run, monkeypatch):
    first = run(plan, workers=1)
    monkeypatch.setattr(protocol, "compute_here", lambda *_: pytest.fail("computed again"))
    assert run(plan, workers=1) == first


def test_a_plan_with_another_seed_keeps_what_is_there(plan, run):
    first = run(replace(plan, seeds=(1,)), workers=1)
    second = run(replace(plan, seeds=(1, 2)), workers=1)
    assert set(map(str, first)) < set(map(str, second))


def test_other_settings_do_not_write_over_results(plan, run, tmp_path):
    run(replace(plan, methods=("zero-shot",)), workers=1)
    record = next((tmp_path / "out" / "records").glob("*/*/*.json"))
    before = record.read_bytes()
    methods = (MethodRun("zero-shot", options={"ensemble": True}),)
    with pytest.raises(SettingsError, match="options.*choose another output folder"):
        run(replace(plan, methods=methods), workers=1)
    assert record.read_bytes() == before


def test_worker_processes_give_the_same_results_as_one(plan, run, tmp_path, monkeypatch):
    alone = run(plan, tmp_path / "alone", workers=1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)  # one thread in each of the workers
    together = run(plan, tmp_path / "together", workers=2)
    assert [_without_times(record) for record in together] == [_without_times(record) for record in alone]


def test_a_result_made_again_alone_is_the_same_to_the_last_bit(plan, run, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    first = run(plan, workers="auto")
    next((tmp_path / "out" / "records").glob("*/*/coop-*seed2.json")).unlink()
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = run(plan, workers="auto")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)

    def timeless(record: ResultRecord) -> ResultRecord:
        return replace(record, times=None, finished="", peak_bytes=None)

    assert [timeless(record) for record in again] == [timeless(record) for record in first]


def test_training_images_are_drawn_over_all_classes_before_the_halves(plan, run, monkeypatch):
    drawn = []

    def watching(train, val, shots, seed, names):
        drawn.append({sample.class_name for sample in train})
        return sample_few_shot(train, val, shots, seed, names)

    monkeypatch.setattr("vlprompt.experiments.used_pictures.sample_few_shot", watching)
    run(replace(plan, methods=plan.methods[1:2], seeds=(1,)), workers=1)
    assert [len(names) for names in drawn] == [5]


def test_ctrl_c_keeps_results_and_says_how_to_go_on(plan, run, tmp_path, monkeypatch):
    from vlprompt.training.loop import _Run

    whole = run(plan, tmp_path / "whole", workers=1)
    epochs = []
    original = _Run._epoch

    def interrupted(self, epoch):
        epochs.append(epoch)
        if len(epochs) == 4 + 2:  # CoOp's four, then in the second of CoCoOp's
            raise KeyboardInterrupt
        original(self, epoch)

    monkeypatch.setattr(_Run, "_epoch", interrupted)
    with pytest.raises(BenchmarkInterrupted, match=r"2 of 5 results.*the same command goes on"):
        run(plan, workers=1)
    assert len(read_records(tmp_path / "out")) == 2
    resumed = run(plan, workers=1)
    assert epochs[6] == 1  # CoCoOp's first epoch is not computed again
    assert [_without_times(record) for record in resumed] == [_without_times(record) for record in whole]


def test_a_killed_benchmark_goes_on_to_the_same_results(plan, run, tmp_path):
    methods = (MethodRun("coop", training={"epochs": 4}), MethodRun("cocoop", training={"epochs": 120}))
    plan = replace(plan, methods=methods)
    whole = run(plan, tmp_path / "whole", workers=1)
    script = (
        "import os, pickle, sys; from vlprompt.experiments import run\n"
        "os.sched_getaffinity = lambda _: {0}\n"  # one core, as `run` has it: bits depend on the threads
        "if __name__ == '__main__': run(pickle.load(open(sys.argv[1], 'rb')), sys.argv[2], workers=1, "
        "cache=sys.argv[3])"
    )
    (tmp_path / "plan.pickle").write_bytes(pickle.dumps(plan))
    process = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "plan.pickle", tmp_path / "out", tmp_path / "cache"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        first = process.stderr.readline()
        assert first.startswith("1/4 colours0 coop 2 shots seed 1: base ")
        deadline = time.monotonic() + 30
        while not list((tmp_path / "out" / "work").glob("*/checkpoint/*")) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.kill()
        process.communicate()
    assert 1 <= len(read_records(tmp_path / "out")) < 4
    resumed = run(plan, workers=1)
    assert [_without_times(record) for record in resumed] == [_without_times(record) for record in whole]


@pytest.mark.slow
def test_a_benchmark_killed_at_twenty_random_moments_ends_with_the_same_bits_and_repeats_no_finished_run(
    plan, tmp_path
):
    plan = replace(plan, methods=plan.methods[:2], seeds=(1, 2, 3))
    (tmp_path / "plan.pickle").write_bytes(pickle.dumps(plan))
    script = Path(__file__).with_name("killed_benchmark.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "plan.pickle", tmp_path, "20"],
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kills, hits, _ = map(int, done.stdout.split()[-3:])
    assert kills == 20
    assert hits >= 3  # some came when only a part was finished


def test_what_a_run_killed_right_behind_its_record_could_go_on_from_is_removed(plan, run, tmp_path):
    plan = replace(plan, methods=("zero-shot",))
    (record,) = run(plan, workers=1)
    left = tmp_path / "out" / "work" / record.settings_hash / "checkpoint"
    left.mkdir(parents=True)
    run(plan, workers=1)
    assert not (tmp_path / "out" / "work").exists()


def test_ctrl_c_stops_the_workers_too(plan, tmp_path, backbone_folder, pictures):
    script = (
        "import pickle, sys; from vlprompt.experiments import run\n"
        "if __name__ == '__main__':\n"
        "    try: run(pickle.load(open(sys.argv[1], 'rb')), sys.argv[2], workers=2, cache=sys.argv[3])\n"
        "    except KeyboardInterrupt as stopped: print(stopped, file=sys.stderr); sys.exit(130)\n"
    )
    (tmp_path / "run.py").write_text(script)
    endless = MethodRun("cocoop", training={"epochs": 100_000})
    (tmp_path / "plan.pickle").write_bytes(pickle.dumps(replace(plan, methods=("zero-shot", endless))))
    process = subprocess.Popen(
        [sys.executable, "run.py", "plan.pickle", "out", "cache"],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    assert process.stderr.readline().startswith("1/3 ")
    workers = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped with 1 of 3 results, all kept in out; the same command goes on from there." in errors
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert len(gone) >= 2
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -9)])
def test_the_workers_end_with_the_command_however_it_ends(tmp_path, backbone_folder, pictures, number, code):
    quick = ["--shots", "2", "--views", "1", "--seeds", "1,2", "--workers", "2", "--backbone", backbone_folder]
    endless = ["--methods", "zero-shot,cocoop", "--epochs", "100000", "--out", "out"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vlprompt", "benchmark", "base-to-new", str(pictures), *quick, *endless],
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, env={**os.environ, "VLPROMPT_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert process.stderr.readline().startswith("1/3 ")
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    if code > 0:
        assert errors.splitlines()[-1].startswith("vlprompt: stopped with 1 of 3 results, all kept in out; ")
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert len(gone) >= 2
    assert [worker for worker in alive if worker.status() != psutil.STATUS_ZOMBIE] == []


def test_a_failing_run_does_not_lose_the_others(plan, run, tmp_path):
    (tmp_path / "own.py").write_text(FAILING)
    failing = MethodRun(f"{tmp_path / 'own.py'}:Failing", "failing")
    with pytest.raises(FailedRunsError, match="RuntimeError: this method never works") as caught:
        run(replace(plan, methods=(failing, "zero-shot"), seeds=(1,)), workers=1)
    assert list(caught.value.failures) == [f"{plan.datasets[0].name} failing 2 shots seed 1"]
    assert [record.method.label for record in read_records(tmp_path / "out")] == ["zero-shot"]
    trace = next((tmp_path / "out" / "work").glob("*/failure.txt")).read_text()
    assert "Traceback" in trace


def test_a_worker_that_dies_does_not_lose_the_others(plan, run, tmp_path):
    (tmp_path / "own.py").write_text(FAILING)
    dying = MethodRun(f"{tmp_path / 'own.py'}:Dying", "dying")
    with pytest.raises(FailedRunsError, match="SIGKILL") as caught:
        run(replace(plan, methods=(dying, plan.methods[1]), seeds=(1, 2)), workers=2)
    assert len(caught.value.failures) == 2
    assert [(record.method.label, record.seed) for record in read_records(tmp_path / "out")] == [
        ("coop", 1),
        ("coop", 2),
    ]


def test_an_output_folder_that_is_a_file_is_refused_before_computing(plan, run, tmp_path, monkeypatch):
    monkeypatch.setattr(protocol, "compute_here", lambda *_: pytest.fail("computed"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        run(plan, tmp_path / "file", workers=1)


def test_fewer_shots_than_asked_for_are_one_warning_line(plan, run, capsys):
    run(replace(plan, methods=plan.methods[1:2], shots=8), workers=1)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "8 images per class were asked for" in warnings[0]


def test_without_a_terminal_runs_that_end_at_once_have_a_line_for_the_first_and_the_last(
    plan, run, capsys, monkeypatch
):
    monkeypatch.setattr("vlprompt.experiments.watch._SECONDS_BETWEEN_LINES", 3600.0)
    run(plan, workers=1)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["1/5", "5/5"]


def test_without_a_terminal_there_is_a_line_for_every_run_that_takes_a_while(plan, run, capsys, monkeypatch):
    monkeypatch.setattr("vlprompt.experiments.watch._SECONDS_BETWEEN_LINES", 0.0)
    run(plan, workers=1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5
    assert lines[-1].startswith("5/5 ")
    assert " left" in lines[-2]


def test_of_runs_that_take_no_time_a_log_has_the_first_and_the_last(plan, run, capsys, monkeypatch):
    monkeypatch.setattr("vlprompt.experiments.watch._SECONDS_BETWEEN_LINES", 1000.0)
    run(plan, workers=1)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["1/5", "5/5"]


def test_images_that_must_be_encoded_have_a_row_and_cached_ones_do_not(plan, run, tmp_path, monkeypatch):
    from vlprompt.progress import ProgressBoard

    rows = []
    monkeypatch.setattr(ProgressBoard, "show", lambda self, key, row: rows.append(row and row.description))
    run(replace(plan, methods=("zero-shot",)), workers=1)
    assert f"{plan.datasets[0].name} images" in rows
    rows.clear()
    run(replace(plan, methods=("zero-shot",)), tmp_path / "again", workers=1)
    assert f"{plan.datasets[0].name} images" not in rows


def test_fresh_views_train_too(plan, run):
    records = run(replace(plan, methods=plan.methods[1:2], seeds=(1,), training={"views": None}), workers=1)
    assert records[0].training["views"] is None


def test_a_wrong_number_of_workers_is_refused(plan, run):
    with pytest.raises(SettingsError, match="workers is 0"):
        run(plan, workers=0)


def test_a_loaded_backbone_serves_too(plan, run, tiny_backbone):
    records = run(Plan(BASE_TO_NEW, plan.datasets, ("zero-shot",), backbone=tiny_backbone))
    assert records[0].backbone.fingerprint == tiny_backbone.fingerprint


def test_a_record_says_what_it_takes_to_repeat_it(plan, run, tmp_path):
    run(replace(plan, methods=plan.methods[2:], seeds=(2,)), workers=1)
    path = next(Path(tmp_path / "out" / "records").glob("*/*/*.json"))
    record = json.loads(path.read_text())
    assert record["dataset"]["classes"]["base"] == ["black", "blue", "green"]
    assert record["dataset"]["classes"]["new"] == ["red", "white"]
    assert record["training"] | {"epochs": 3, "views": 2, "seed": 2} == record["training"]
    assert record["method"]["options"]["context_init"] == "a photo of a"
    assert record["machine"]["threads"] >= 1
    assert record["times"]["train_s"] > 0


@pytest.fixture
def damaged(pictures, tmp_path) -> Path:
    """A copy of the pictures, two of which cannot be read."""
    folder = shutil.copytree(pictures, tmp_path / "damaged")
    (folder / "train" / "blue" / "0.png").write_bytes(b"")
    (folder / "test" / "red" / "1.png").write_text("no picture")
    return folder


def test_pictures_that_cannot_be_read_are_all_named_before_anything_is_trained(plan, run, damaged, monkeypatch):
    monkeypatch.setattr(protocol, "compute_here", lambda *_: pytest.fail("computed"))
    with pytest.raises(UnreadableImagesError) as caught:
        run(replace(plan, datasets=(damaged,)), workers=1)
    assert sorted(map(os.path.basename, caught.value.failures)) == ["0.png", "1.png"]


def test_pictures_that_cannot_be_read_are_skipped_where_that_is_wished(plan, run, damaged, tmp_path):
    plan = replace(plan, datasets=(damaged,), methods=plan.methods[:2], seeds=(1,), on_unreadable="skip")
    with pytest.warns(UserWarning, match="2 pictures of damaged cannot be read and are left out"):
        records = run(plan, workers=2)
    assert [record.results["new"].total for record in records] == [3, 3]
    assert records[0].dataset.loading == {"on_unreadable": "skip"}


def test_a_class_without_a_readable_picture_is_an_error(plan, run, damaged):
    for path in damaged.glob("*/red/*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no picture of class red"):
        run(replace(plan, datasets=(damaged,), on_unreadable="skip"), workers=1)


def test_words_for_classes_reach_the_workers(plan, run, tmp_path):
    (tmp_path / "words.csv").write_text("red,scarlet\n")
    (tmp_path / "telling.py").write_text(TELLING.format(told=str(tmp_path / "told")))
    methods = tuple(MethodRun(f"{tmp_path / 'telling.py'}:Telling", label) for label in ("one", "two"))
    plan = replace(plan, methods=methods, class_words=tmp_path / "words.csv")
    records = run(plan, workers=2)
    assert all("red" in record.dataset.classes["new"] for record in records)
    told = (tmp_path / "told").read_text().splitlines()
    assert sorted(told) == ["black blue green"] * 2 + ["black blue green scarlet white"] * 2 + ["scarlet white"] * 2


def test_other_words_are_another_benchmark(plan, run, tmp_path):
    plan = replace(plan, methods=plan.methods[:1])
    run(plan, workers=1)
    (tmp_path / "words.csv").write_text("red,scarlet\n")
    with pytest.raises(SettingsError, match="other settings: .*fingerprint"):
        run(replace(plan, class_words=tmp_path / "words.csv"), workers=1)


def test_an_edited_method_does_not_keep_its_results(plan, run, tmp_path):
    own = tmp_path / "own.py"
    own.write_text("from vlprompt.methods.coop import CoOp\n\nclass Own(CoOp):\n    name = 'own'\n")
    plan = replace(plan, methods=(MethodRun(f"{own}:Own", "own", training={"epochs": 2}),), seeds=(1,))
    first = run(plan, workers=1)
    assert run(plan, workers=1) == first
    own.write_text(own.read_text() + "    # edited\n")
    with pytest.raises(SettingsError, match="method file's hash"):
        run(plan, workers=1)


def test_a_failure_of_ours_keeps_all_its_lines():
    text = describe_failure(UnreadableImagesError({"a.png": "it is empty.", "b.png": "it is empty."}))
    assert "a.png" in text
    assert "b.png" in text


def test_a_record_has_the_number_of_threads_that_its_training_had(plan, run, monkeypatch):
    import torch

    from vlprompt.experiments import running

    fit, threads = running.fit, []
    monkeypatch.setattr(running, "fit", lambda *a, **b: threads.append(torch.get_num_threads()) or fit(*a, **b))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    before = torch.get_num_threads()
    records = run(replace(plan, methods=("coop",), seeds=(1,)), workers=1)
    assert [record.machine.threads for record in records] == threads == [2]
    assert torch.get_num_threads() == before


def test_a_class_without_training_or_test_images_is_named(plan, run, tmp_path, pictures, capsys):
    data = tmp_path / "uneven"
    shutil.copytree(pictures, data)
    for split in ("train", "test"):
        first, *_, last = sorted((data / split).iterdir())
        shutil.rmtree(first if split == "train" else last)
    with pytest.warns(UntestedClassesWarning, match=rf"1 of \d+ classes has no picture .*'{last.name}'"):
        run(replace(plan, datasets=(data,), methods=("coop",), seeds=(1,)), workers=1)
    assert f"'{first.name}' has none to train on" in capsys.readouterr().err


def test_mini_on_data_that_are_not_bundled_is_said_to_know_drawings_only(plan, run, tiny_backbone):
    mini = replace(tiny_backbone, name="mini")
    with pytest.warns(DrawingsOnlyWarning, match="ViT-B-16/openai"):
        run(replace(plan, backbone=mini, methods=("zero-shot",)), workers=1)


def _as_an_earlier_release_wrote(out: Path, fingerprint: str) -> None:
    for record in read_records(out):
        older = replace(record, backbone=replace(record.backbone, fingerprint=fingerprint))
        write_record(out, replace(older, settings_hash=hash_settings(older.settings)))


def test_results_of_an_earlier_release_are_continued_and_renamed(run, plan, tmp_path) -> None:
    few = replace(plan, methods=("zero-shot",), seeds=(1,))
    first = run(few)
    older = earlier_fingerprints(load_backbone(plan.backbone, device="cpu"))[1]
    _as_an_earlier_release_wrote(tmp_path / "out", older)
    assert run(few) == first == read_records(tmp_path / "out")


def test_results_of_another_backbone_are_no_earlier_releases(run, plan, tmp_path) -> None:
    few = replace(plan, methods=("zero-shot",), seeds=(1,))
    run(few)
    _as_an_earlier_release_wrote(tmp_path / "out", "0" * 64)
    with pytest.raises(SettingsError, match="backbone's fingerprint"):
        run(few)


def _of_all_pictures(out: Path, dataset: Dataset) -> None:
    """The records as releases wrote them that took the fingerprint of all pictures."""
    everything = dataset_fingerprint([*dataset.train, *dataset.val, *dataset.test], dataset.class_words)
    for record in read_records(out):
        older = replace(record, dataset=replace(record.dataset, fingerprint=everything, drawn=""))
        write_record(out, replace(older, settings_hash=hash_settings(older.settings)))


def test_results_that_have_the_fingerprint_of_all_pictures_are_continued(run, plan, pictures, tmp_path, monkeypatch):
    few = replace(plan, methods=("zero-shot", plan.methods[1]), seeds=(1,))
    first = run(few, workers=1)
    _of_all_pictures(tmp_path / "out", load_dataset(pictures))
    monkeypatch.setattr(protocol, "compute_here", lambda *_: pytest.fail("computed again"))
    assert run(few, workers=1) == first
    assert {r.settings_hash for r in read_records(tmp_path / "out")} == {r.settings_hash for r in first}


def test_results_that_have_the_fingerprint_of_other_pictures_are_not(run, plan, pictures, tmp_path) -> None:
    few = replace(plan, methods=("zero-shot",), seeds=(1,))
    run(few, workers=1)
    dataset = load_dataset(pictures)
    _of_all_pictures(tmp_path / "out", replace(dataset, train=dataset.train[1:]))
    with pytest.raises(SettingsError, match="data set's fingerprint"):
        run(few, workers=1)


def test_training_pictures_that_no_run_uses_are_never_opened(plan, run, pictures, tmp_path) -> None:
    folder = shutil.copytree(pictures, tmp_path / "many")
    few = replace(plan, datasets=(folder,), methods=plan.methods[:2], shots=1, seeds=(1,))
    before = run(few, tmp_path / "one", workers=1)
    used = {str(sample.image) for sample in draw(BASE_TO_NEW, load_dataset(folder), 1, 1).samples}
    others = [path for path in folder.glob("train/*/*") if str(path) not in used]
    assert len(used) == 3 < len(others)
    for path in others:
        path.write_bytes(b"no picture")
    after = run(few, tmp_path / "two", workers=2)
    assert [(r.settings_hash, r.results) for r in after] == [(r.settings_hash, r.results) for r in before]


def test_one_that_a_run_uses_is_opened_before_anything_is_trained(plan, run, pictures, tmp_path, monkeypatch) -> None:
    folder = shutil.copytree(pictures, tmp_path / "many")
    few = replace(plan, datasets=(folder,), methods=plan.methods[:2], shots=1, seeds=(1,))
    (drawn, *_) = draw(BASE_TO_NEW, load_dataset(folder), 1, 1).samples
    Path(str(drawn.image)).write_bytes(b"no picture")
    monkeypatch.setattr(protocol, "compute_here", lambda *_: pytest.fail("computed"))
    with pytest.raises(UnreadableImagesError, match=Path(str(drawn.image)).name):
        run(few, workers=1)


TWO_CAFES = {"blue": "caf\u00e9", "black": "caf\u00c3\u00a9"}
"""Words for two of the base classes that CLIP's tokenizer makes one prompt of."""


def test_names_that_are_one_prompt_are_refused_before_anything_is_trained(run, plan, pictures, tmp_path) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("\n".join(f'{folder}: "{name}"' for folder, name in TWO_CAFES.items()), encoding="utf-8")
    with pytest.raises(DataError, match="are one prompt to the backbone"):
        run(replace(plan, class_words=words))
    assert not (tmp_path / "out").exists()


def test_published_split_files_keep_the_names_that_they_have(run, plan, pictures, tmp_path) -> None:
    classes = ["black", "red", "blue", "green", "white"]
    content = {
        split: [
            [f"{split}/{name}/{number}.png", label, TWO_CAFES.get(name, name)]
            for label, name in enumerate(classes)
            for number in range(count)
        ]
        for split, count in (("train", 3), ("val", 0), ("test", 2))
    }
    file = tmp_path / "split_zhou_Colours.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    few = replace(plan, datasets=(file,), image_root=pictures, methods=("zero-shot",), seeds=(1,))
    (record,) = run(few, workers=1)
    assert set(TWO_CAFES.values()) <= set(record.dataset.classes["base"])


NEAREST = """
from torch.nn import functional as F

from vlprompt.methods.zero_shot import ZeroShot

class Centred(ZeroShot):
    name = "centred"

    def prepare(self):
        super().prepare()
        self.register_buffer("mean", self.weights.new_zeros(self.backbone.feature_size))

    def setup(self, training_set):
        self.mean.copy_(training_set.features.mean(0))

    def class_features(self, image_features):
        return F.normalize(self.weights, dim=-1)[None] - self.mean
"""


def test_kgcoop_and_a_method_of_ones_own_with_a_setup_are_benchmarked(run, plan, tmp_path):
    path = tmp_path / "centred.py"
    path.write_text(NEAREST)
    methods = ("zero-shot", MethodRun("kgcoop", training={"epochs": 3}), MethodRun(f"{path}:Centred", "centred"))
    records = {(record.method.label, record.seed): record for record in run(replace(plan, methods=methods))}
    assert set(records) == {("zero-shot", 0), *((name, seed) for name in ("kgcoop", "centred") for seed in (1, 2))}
    assert records["centred", 1].training is None
    assert records["centred", 1].method.learns
    assert records["kgcoop", 1].results["new"].total == 4
