"""The model folder: what somebody changed is named, and no stop at any moment costs the old model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from vlprompt import PromptClassifier
from vlprompt.errors import DataError, ModelFolderError, OutputError
from vlprompt.files.locks import close_locked, try_lock


@pytest.fixture
def make(tiny_backbone):
    """A fitted zero-shot or CoOp classifier of two classes."""

    def make(method: str = "zero-shot", **options):
        classifier = PromptClassifier(method=method, backbone=tiny_backbone, cache=None, shots=1, **options)
        images = [np.full((40, 40, 3), grey, np.uint8) for grey in (30, 200)]
        return classifier.fit(images, ["dark", "light"])

    return make


@pytest.fixture
def saved(make, tmp_path):
    folder = tmp_path / "model"
    make("coop", epochs=2, training={"views": 1}).save(folder)
    return folder


def change(folder: Path, place: str, value: object) -> None:
    """Set a value of model.json, by its place such as `training.seed`."""
    path = folder / "model.json"
    values = json.loads(path.read_text())
    *outer, last = place.split(".")
    inner = values
    for key in outer:
        inner = inner[key]
    inner[last] = value
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("training.seed", "x"),
        ("training.seed", -1),
        ("training.seed", 10**30),
        ("training.shots", "many"),
        ("training.data", 3),
        ("training.image_keys", [3]),
        ("training.losses", "low"),
        ("class_words", ["dark"]),
        ("class_words", {"dim": "a dim light"}),
        ("class_words", {"dark": ""}),
        ("class_words", {"dark": 3}),
        ("options.context_length", "x"),
        ("options.context_length", 0),
        ("options.context_init", 3),
        ("options.position", ["end"]),
        ("options.unknown", 1),
        ("class_names", []),
        ("trained_class_names", []),
        ("trained_class_names", ["dark"]),
        ("class_names", ["", "x"]),
        ("trained_class_names", ["very " * 90, "light"]),
        ("template", "a photo"),
        ("evaluation.test", 3),
        ("evaluation.test", {"accuracy": "good"}),
        ("evaluation.test", {"accuracy": float("nan"), "macro_f1": 1.0, "total": 1}),
        ("training.losses", [float("inf")]),
        ("training.seed", int("9" * 4000)),
        ("training.data", {"name": "\ud800"}),
        ("class_names", ["dark\ud800", "light"]),
        ("class_names", ["dark", "dark"]),
        ("trained_class_names", ["dark", "dark"]),
        ("class_names", ["dark", "light\udce9"]),
        ("trained_class_names", ["dark", "light\udce9"]),
        ("template", "a \udce9 {}"),
        ("template", "{" * 100_000),
        ("method", ["x" * 100_000]),
    ],
)
def test_a_nested_value_that_somebody_changed_is_named_with_its_file(saved, tiny_backbone, place, value):
    change(saved, place, value)
    with pytest.raises(ModelFolderError, match=r"model\.json") as refusal:
        PromptClassifier.load(saved, backbone=tiny_backbone)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_description_that_is_nested_without_end_is_named(saved, tiny_backbone):
    (saved / "model.json").write_text("[" * 100_000)
    with pytest.raises(ModelFolderError, match=r"model\.json"):
        PromptClassifier.load(saved, backbone=tiny_backbone)


@pytest.mark.parametrize("text", ["", "\xff", '{"format": "vlprompt-model", "format": 1}', "[" * 900 + "]" * 900])
def test_a_description_that_is_no_json_of_ours_is_named_with_the_reason(saved, tiny_backbone, text):
    (saved / "model.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelFolderError, match=r"model\.json is damaged or not a model of vlprompt: it"):
        PromptClassifier.load(saved, backbone=tiny_backbone)


def test_the_card_is_never_read(saved, tiny_backbone):
    (saved / "README.md").unlink()
    os.mkfifo(saved / "README.md")
    assert PromptClassifier.load(saved, backbone=tiny_backbone).method == "coop"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left")])
@pytest.mark.parametrize("moment", [1, 2])
def test_a_stop_between_the_two_moves_brings_the_old_model_back(make, saved, monkeypatch, stop, moment):
    before = (saved / "model.json").read_bytes()
    rename, calls = Path.rename, []

    def stopped(source, target):
        calls.append(source)
        # After the old model has stepped aside, and before the new one has come.
        if len(calls) == moment == 1:
            rename(source, target)
        if len(calls) == moment:
            raise stop
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises((KeyboardInterrupt, OutputError)):
        make().save(saved)
    assert (saved / "model.json").read_bytes() == before
    assert os.listdir(saved.parent) == ["model"]


def test_a_folder_that_another_process_saves_to_is_left_to_it(make, saved):
    before = (saved / "model.json").read_bytes()
    descriptor = os.open(saved.parent / ".model.lock", os.O_RDWR | os.O_CREAT)
    try:
        assert try_lock(descriptor)
        with pytest.raises(OutputError, match="another process is writing"):
            make().save(saved)
    finally:
        close_locked(descriptor)
    assert (saved / "model.json").read_bytes() == before
    make().save(saved)
    assert os.listdir(saved.parent) == ["model"]


def test_what_a_killed_save_had_begun_goes_with_the_next_one(make, saved):
    for left in (".tmp-01234567-model", ".tmp-0123456789ab-model"):
        (saved.parent / left).mkdir()
        (saved.parent / left / "model.json").write_text("{")
    make().save(saved)
    assert os.listdir(saved.parent) == ["model"]


@pytest.fixture
def killed(saved):
    """A model whose folder had stepped aside when the process that replaced it was killed."""
    saved.rename(saved.with_name(".model.old-0123abcd"))
    return saved


def test_the_old_model_of_a_killed_save_is_still_read(killed, tiny_backbone):
    assert PromptClassifier.load(killed, backbone=tiny_backbone).classes_.tolist() == ["dark", "light"]


def test_the_next_save_replaces_the_old_model_of_a_killed_save(make, killed, tiny_backbone):
    make().save(killed)
    assert PromptClassifier.load(killed, backbone=tiny_backbone).method == "zero-shot"
    assert os.listdir(killed.parent) == ["model"]


def test_the_next_save_that_fails_leaves_the_old_model_of_a_killed_save(make, killed, tiny_backbone, monkeypatch):
    monkeypatch.setattr("vlprompt.model.folder.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(OutputError, match="No space left"):
        make().save(killed)
    assert PromptClassifier.load(killed, backbone=tiny_backbone).method == "coop"


def test_folders_of_models_with_longer_names_are_left_alone(make, tmp_path):
    other = tmp_path / ".model.old-0123abcd.old-01234567"
    other.mkdir()
    for _ in range(2):
        make().save(tmp_path / "model")
    assert other.is_dir()


def test_a_link_to_a_model_stays_a_link(make, saved, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(saved)
    make().save(link)
    assert link.is_symlink()
    assert json.loads((saved / "model.json").read_text())["method"] == "zero-shot"
    assert sorted(os.listdir(tmp_path)) == ["link", "model"]


@pytest.mark.parametrize("name", [".", "/", "x" * 300])
def test_a_folder_that_can_be_no_model_is_refused(make, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="choose another"):
        make().save(name)
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_too_long_is_no_model(tiny_backbone):
    with pytest.raises(ModelFolderError, match="no model folder"):
        PromptClassifier.load("x" * 300, backbone=tiny_backbone)


def test_a_class_name_that_is_no_unicode_is_refused(make):
    with pytest.raises(DataError, match="not valid Unicode"):
        make().set_class_names(["dark", "light\udcff"])


def test_the_pictures_trained_on_are_recorded_by_their_content(saved):
    keys = json.loads((saved / "model.json").read_text())["training"]["image_keys"]
    assert len(set(keys)) == 2


@pytest.mark.parametrize(
    "recorded",
    [
        "./tiny",
        "tiny",
        "/etc",
        "~",
        "mini/",
        " mini",
        "MINI",
        "../mini",
        "weights.pt",
        "ViT-B-16",
        "ViT-B-16/openai@weights.pt",
        "ViT-B-16/openai/../../x",
        "local-dir:model",
        "hf-hub:somebody/model",
        "",
        "x" * 5000,
    ],
)
def test_a_backbone_that_is_no_listed_name_is_not_even_looked_for_unless_the_person_names_it(
    saved, tiny_backbone, monkeypatch, recorded
):
    change(saved, "backbone", recorded)
    for opener in ("vlprompt.backbones.load_backbone", "torch.load", "torch.jit.load"):
        monkeypatch.setattr(opener, lambda *_, **__: pytest.fail("it opened a file that the model folder named"))
    with pytest.raises(ModelFolderError, match='name the backbone yourself, as backbone="PATH"') as refusal:
        PromptClassifier.load(saved)
    assert repr(recorded)[:15] in str(refusal.value)
    assert len(str(refusal.value)) < 600
    assert PromptClassifier.load(saved, backbone=tiny_backbone).method == "coop"


def test_a_backbone_of_the_list_is_loaded_by_its_recorded_name(saved, tiny_backbone, monkeypatch):
    change(saved, "backbone", "mini")
    asked = []
    monkeypatch.setattr("vlprompt.backbones.load_backbone", lambda name, **_: asked.append(name) or tiny_backbone)
    PromptClassifier.load(saved)
    assert asked == ["mini"]


def test_a_checkpoint_in_place_of_a_model_sends_to_convert(tmp_path, tiny_backbone):
    run = tmp_path / "seed1"
    (run / "prompt_learner").mkdir(parents=True)
    for epoch in (9, 10):
        (run / f"prompt_learner/model.pth.tar-{epoch}").write_bytes(b"PK")
    for given in (run, run / "prompt_learner", run / "prompt_learner/model.pth.tar-10"):
        with pytest.raises(ModelFolderError, match=r"`vlprompt convert \S*/prompt_learner/model\.pth\.tar-10 DATA"):
            PromptClassifier.load(given, backbone=tiny_backbone)
