"""Runs that stop and go on: the same bits as in one go, and only from a checkpoint that is whole and their own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save

from vlprompt.errors import CheckpointError, OutputError, TrainingInterrupted
from vlprompt.files.locks import close_locked, try_lock
from vlprompt.recipes import TrainingSettings
from vlprompt.training import checkpoints, loop, train
from vlprompt.training.checkpoints import DamagedCheckpointWarning, OtherMachineWarning

SETTINGS = TrainingSettings(epochs=6, batch_size=4, learning_rate=0.05)


class StoppingViews:
    """Features that end, as by a crash, before the given epoch."""

    def __init__(self, views, before):
        self.views, self.before = views, before

    def epoch(self, epoch):
        if epoch == self.before:
            raise RuntimeError("the machine stopped")
        return self.views.epoch(epoch)


@pytest.fixture
def stop(small_method, views):
    """Train into a folder and stop before an epoch."""

    def stop(folder, before=3, method=None, **options):
        with pytest.raises(RuntimeError, match="the machine stopped"):
            train(
                method or small_method(),
                StoppingViews(views, before),
                views.labels,
                SETTINGS,
                checkpoint=folder,
                **options,
            )
        return folder

    return stop


@pytest.fixture(autouse=True)
def every_epoch_is_put_aside(monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 1e9)


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("before", [1, 2, 5])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.5}])
def test_a_resumed_run_has_the_bits_of_a_run_in_one_go(
    small_method, views, learned, same_bits, stop, tmp_path, before, options
):
    whole, resumed = small_method(**options), small_method(**options)
    in_one = train(whole, views, views.labels, SETTINGS)
    stop(tmp_path, before, small_method(**options))
    in_two = train(resumed, views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert in_two.resumed_after == before
    assert same_bits(learned(whole), learned(resumed))
    assert [(epoch.number, epoch.loss) for epoch in in_one.epochs] == [
        (epoch.number, epoch.loss) for epoch in in_two.epochs
    ]


def test_a_finished_run_is_not_trained_again(small_method, views, learned, same_bits, tmp_path):
    first, second = small_method(), small_method()
    history = train(first, views, views.labels, SETTINGS, checkpoint=tmp_path)
    views.asked.clear()
    again = train(second, views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert views.asked == []
    assert same_bits(learned(first), learned(second))
    assert (again.epochs, again.resumed_after) == (history.epochs, 6)


def test_a_folder_keeps_the_last_two_epochs(small_method, views, tmp_path):
    train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert files_of(tmp_path) == ["epoch-00005.safetensors", "epoch-00006.safetensors"]


def test_epochs_quicker_than_their_checkpoints_share_one(small_method, views, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 1e-9)
    written = []
    write = checkpoints.CheckpointFolder.write
    monkeypatch.setattr(
        checkpoints.CheckpointFolder, "write", lambda self, run: (written.append(len(run.epochs)), write(self, run))
    )
    train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert written == [1, 6]


@pytest.mark.parametrize("how", ["at-random", "at-every-write"])
def test_a_run_that_is_killed_at_any_moment_ends_with_the_same_bits(tmp_path, how):
    program = Path(__file__).with_name("killed_run.py")
    command = [sys.executable, str(program), str(tmp_path), how]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    kills, undisturbed, *killed = done.stdout.split()
    assert int(kills) >= 3
    assert killed == [undisturbed]


def damage_cut(data):
    return data[: len(data) // 2]


def damage_flip(data):
    return data[:-3] + bytes([data[-3] ^ 4]) + data[-2:]


def damage_header(data):
    place = data.index(b"learning_rate") + 3
    return data[:place] + b"X" + data[place + 1 :]


DAMAGES = {
    "cut": damage_cut,
    "flipped bit": damage_flip,
    "changed header": damage_header,
    "empty": lambda data: b"",
    "foreign": lambda data: b"PK\x03\x04 this is something else",
    "no header": lambda data: struct.pack("<Q", 2) + b"{}",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(
    small_method, views, learned, same_bits, stop, tmp_path, damage
):
    stop(tmp_path)
    newest = tmp_path / "epoch-00003.safetensors"
    newest.write_bytes(damage(newest.read_bytes()))
    whole, resumed = small_method(), small_method()
    train(whole, views, views.labels, SETTINGS)
    with pytest.warns(DamagedCheckpointWarning, match="epoch-00003.safetensors is damaged"):
        history = train(resumed, views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert history.resumed_after == 2
    assert same_bits(learned(whole), learned(resumed))


def forged(path, change):
    """Somebody changes a checkpoint and puts its digest right."""
    with safe_open(path, "pt") as file:
        state = json.loads(file.metadata()["state"])
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    text = change(state, tensors) or json.dumps(state)
    path.write_bytes(save(tensors, {"state": text, "digest": checkpoints._digest(text, tensors)}))


def set_learned(tensors, value):
    tensors["learned/context"] = value(tensors["learned/context"])


FORGERIES = {
    "nan": lambda state, tensors: set_learned(tensors, lambda old: old * float("nan")),
    "another type": lambda state, tensors: set_learned(tensors, lambda old: old.half()),
    "another shape": lambda state, tensors: set_learned(tensors, lambda old: old[:1]),
    "missing tensor": lambda state, tensors: tensors.__delitem__("learned/scale"),
    "extra tensor": lambda state, tensors: tensors.update(extra=torch.ones(1)),
    "momentum of nothing": lambda state, tensors: tensors.update({"momentum/x": torch.ones(1)}),
    "no epochs": lambda state, tensors: state.__delitem__("epochs"),
    "epochs out of order": lambda state, tensors: state["epochs"].reverse(),
    "a loss that is text": lambda state, tensors: state["epochs"][0].update(loss="low"),
    "a loss that is no number": lambda state, tensors: state["epochs"][0].update(loss=float("nan")),
    "epochs that are a number": lambda state, tensors: state.update(epochs=3),
    "scaling that is a number": lambda state, tensors: state.update(scaling=3),
    "identity that is text": lambda state, tensors: state.update(identity="mine"),
    "state that is a list": lambda state, tensors: "[]",
    "nested without end": lambda state, tensors: "[" * 100_000,
    "a number of 5,000 digits": lambda state, tensors: "1" * 5000,
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_a_forged_checkpoint_is_passed_over_for_the_one_before_it(small_method, views, stop, tmp_path, forgery):
    stop(tmp_path)
    forged(tmp_path / "epoch-00003.safetensors", forgery)
    with pytest.warns(DamagedCheckpointWarning, match="epoch-00003.safetensors is damaged") as caught:
        history = train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert history.resumed_after == 2
    assert len(str(caught[0].message)) < 500


def as_huge(path):
    with path.open("wb") as file:
        file.truncate(10**12)


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), as_huge])
def test_what_is_no_file_of_ours_in_a_checkpoints_place_is_passed_over(small_method, views, stop, tmp_path, make):
    stop(tmp_path)
    (tmp_path / "epoch-00003.safetensors").unlink()
    make(tmp_path / "epoch-00003.safetensors")
    with pytest.warns(DamagedCheckpointWarning, match="epoch-00003.safetensors is damaged"):
        history = train(small_method(), views, views.labels, replace(SETTINGS), checkpoint=tmp_path)
    assert history.resumed_after == 2


def test_a_folder_in_a_checkpoints_place_is_one_sentence(small_method, views, stop, tmp_path):
    stop(tmp_path)
    (tmp_path / "epoch-00003.safetensors").unlink()
    (tmp_path / "epoch-00003.safetensors").mkdir()
    with (
        pytest.warns(DamagedCheckpointWarning, match="it is a folder"),
        pytest.raises(OutputError, match="epoch-00003.safetensors cannot be written: is a directory"),
    ):
        train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path)


def test_a_checkpoint_folder_that_another_process_trains_into_is_refused(small_method, views, stop, tmp_path):
    stop(tmp_path)
    before = files_of(tmp_path)
    descriptor = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        assert try_lock(descriptor)
        with pytest.raises(OutputError, match="another process is writing"):
            train(small_method(), views, views.labels, replace(SETTINGS, epochs=9), checkpoint=tmp_path)
    finally:
        close_locked(descriptor)
        (tmp_path / ".lock").unlink()
    assert files_of(tmp_path) == before


def test_a_second_stop_that_cannot_put_the_run_aside_still_says_that_it_was_stopped(
    small_method, views, tmp_path, monkeypatch
):
    monkeypatch.setattr(loop, "CHECKPOINT_SHARE", 1e-9)  # the first epoch's checkpoint, and then none until the stop

    class Interrupted:
        def epoch(self, epoch):
            if epoch == 3:
                monkeypatch.setattr(checkpoints, "write_atomically", refuse)
                raise KeyboardInterrupt
            return views.epoch(epoch)

    def refuse(*_):
        raise OutputError("the disk is full")

    with pytest.raises(TrainingInterrupted, match="goes on from"):
        train(small_method(), Interrupted(), views.labels, SETTINGS, checkpoint=tmp_path)
    assert files_of(tmp_path) == ["epoch-00001.safetensors"]


def test_with_all_checkpoints_damaged_training_starts_afresh(small_method, views, learned, same_bits, stop, tmp_path):
    stop(tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    whole, resumed = small_method(), small_method()
    train(whole, views, views.labels, SETTINGS)
    with pytest.warns(DamagedCheckpointWarning):
        history = train(resumed, views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert history.resumed_after == 0
    assert same_bits(learned(whole), learned(resumed))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 8}, "settings.batch_size is 4 there and 8 here"),
        ({"epochs": 9}, "settings.epochs is 6 there and 9 here"),
        ({"seed": 2, "views": None}, "settings.views is 10 there and None here; settings.seed is 1 there and 2 here"),
    ],
)
def test_a_checkpoint_of_other_settings_is_refused_with_what_differs(
    small_method, views, stop, tmp_path, options, words
):
    stop(tmp_path)
    before = files_of(tmp_path)
    with pytest.raises(CheckpointError, match=words):
        train(small_method(), views, views.labels, replace(SETTINGS, **options), checkpoint=tmp_path)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ({"class_names": ("ant", "bee", "cow", "dog")}, r"class_names\[2\] is 'cat' there and 'cow' here"),
        ({"class_names": ("ant", "bee", "cat", "dog", "eel")}, "class_names are 4 there and 5 here"),
        ({"dropout": 0.1}, "options.dropout is 0.0 there and 0.1 here"),
        ({"seed": 5}, "initial parameters differ"),
    ],
)
def test_a_checkpoint_of_another_method_is_refused_with_what_differs(
    small_method, views, stop, tmp_path, method, words
):
    stop(tmp_path)
    with pytest.raises(CheckpointError, match=words):
        train(small_method(**method), views, views.labels, SETTINGS, checkpoint=tmp_path)


def test_a_checkpoint_of_other_labels_is_refused(small_method, views, stop, tmp_path):
    stop(tmp_path)
    with pytest.raises(CheckpointError, match="of another run: labels differ"):
        train(small_method(), views, views.labels.flip(0), SETTINGS, checkpoint=tmp_path)


def test_a_checkpoint_of_another_backbone_is_refused(small_method, views, stop, tmp_path):
    stop(tmp_path, identity={"backbone": "abc"})
    with pytest.raises(CheckpointError, match="backbone is 'abc' there and 'def' here"):
        train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path, identity={"backbone": "def"})


def test_a_checkpoint_of_other_circumstances_is_used_with_a_warning(small_method, views, stop, tmp_path, monkeypatch):
    stop(tmp_path)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    with pytest.warns(OtherMachineWarning, match=r"threads is \d+ there and 99 here: the last bits may differ"):
        history = train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert history.resumed_after == 3


def test_files_that_a_killed_run_left_half_written_go(small_method, views, stop, tmp_path):
    stop(tmp_path)
    (tmp_path / ".tmp-0123-epoch-00004.safetensors").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("not ours")
    train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path)
    assert files_of(tmp_path) == ["epoch-00005.safetensors", "epoch-00006.safetensors", "notes.txt"]


def test_a_checkpoint_is_tensors_and_json_only(stop, tmp_path):
    stop(tmp_path)
    data = (tmp_path / "epoch-00003.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    state = json.loads(header.pop("__metadata__")["state"])
    assert set(header) == {"learned/context", "learned/scale", "momentum/context", "momentum/scale"}
    assert state["identity"]["class_names"] == ["ant", "bee", "cat", "dog"]
    assert state["identity"]["settings"] == SETTINGS.as_dict()
    assert [epoch["number"] for epoch in state["epochs"]] == [1, 2, 3]


def test_a_folder_that_cannot_be_written_is_refused_before_training(small_method, views, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file"):
        train(small_method(), views, views.labels, SETTINGS, checkpoint=tmp_path / "file" / "run")
    assert views.asked == []
