"""Somebody changes a model's tensors, and the SHA-256 in model.json with them: refused, or no answer is the worse."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vlprompt import PromptClassifier
from vlprompt.errors import ModelFolderError, NonFiniteLogitsError, VlpromptError
from vlprompt.methods import METHODS, method_class
from vlprompt.screening import screener

IMAGES = [np.full((40, 40, 3), grey, np.uint8) for grey in (30, 200)]
MODELS: dict[str, dict[str, object]] = {
    "zero-shot": {"method": "zero-shot"},
    "coop": {"method": "coop"},
    "class-specific coop": {"method": "coop", "options": {"class_specific": True}},
    "cocoop": {"method": "cocoop"},
}
FILES = {"prompts.safetensors": "tensors_sha256", "prediction.safetensors": "kept_sha256"}


@pytest.fixture(scope="module")
def models(tiny_backbone, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A saved model of each kind; the CoCoOp one carries its screening, as one of many classes does."""
    folder, made = tmp_path_factory.mktemp("models"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(screener, "SCREENING_PAYS", 2)
        for name, settings in MODELS.items():
            learning = {} if name == "zero-shot" else {"epochs": 2, "training": {"views": 1}}
            classifier = PromptClassifier(backbone=tiny_backbone, cache=None, shots=1, **learning, **settings)
            classifier.fit(IMAGES, ["dark", "light"]).save(folder / name)
            made[name] = folder / name
    return made


def with_value(value: float) -> Callable[[Tensor], Tensor]:
    def change(tensor: Tensor) -> Tensor:
        changed = tensor.clone()
        changed.view(-1)[-1] = value
        return changed

    return change


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": with_value(float("nan")),
    "infinite": with_value(float("-inf")),
    "all infinite": lambda tensor: torch.full_like(tensor, float("inf")),
    "half": lambda tensor: tensor.half(),
    "bfloat16": lambda tensor: tensor.bfloat16(),
    "double": lambda tensor: tensor.double(),
    "int": lambda tensor: tensor.int(),
    "bool": lambda tensor: tensor.bool(),
    "complex": lambda tensor: tensor.to(torch.complex64),
    "longer": lambda tensor: torch.cat([tensor, tensor]),
    "flat": lambda tensor: tensor.flatten()[:-1],
    "another axis": lambda tensor: tensor[None],
    "empty": lambda tensor: tensor[:0],
    "zeros": torch.zeros_like,
    "huge": lambda tensor: torch.full_like(tensor, 3e38),
    "large": lambda tensor: torch.full_like(tensor, -1e15),
}
HARMLESS = {"zeros", "huge", "large"}
"""Values that a training might have come to; they are refused, or answered with finite numbers."""


def tampered(folder: Path, target: Path, file: str, tensors: dict[str, Tensor]) -> Path:
    shutil.copytree(folder, target)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target / file)
    description = json.loads((target / "model.json").read_text())
    description[FILES[file]] = hashlib.sha256((target / file).read_bytes()).hexdigest()
    if file == "prompts.safetensors":
        from vlprompt.model.folder import _kept_for

        description["kept_for"] = _kept_for(description)
    (target / "model.json").write_text(json.dumps(description))
    return target


def cases(models: dict[str, Path]) -> Iterator[tuple[Path, str, str, str]]:
    for folder in models.values():
        for file in FILES:
            for tensor in load_file(folder / file):
                for change in CHANGES:
                    yield folder, file, tensor, change


def probabilities(folder: Path, backbone) -> np.ndarray:
    return PromptClassifier.load(folder, backbone=backbone).predict_proba(IMAGES)


def test_every_tensor_of_every_method_changed_in_every_way_is_refused_or_answers_in_numbers(
    models, tiny_backbone, tmp_path
):
    tried = 0
    for number, (folder, file, name, change) in enumerate(cases(models)):
        tensors = load_file(folder / file)
        tensors[name] = CHANGES[change](tensors[name])
        target = tampered(folder, tmp_path / str(number), file, tensors)
        tried += 1
        refused: list[str] = []
        try:
            given = probabilities(target, tiny_backbone)
        except (ModelFolderError, NonFiniteLogitsError) as refusal:
            refused.append(str(refusal))
        if refused:
            assert "\n" not in refused[0]
            assert len(refused[0]) < 500
        else:
            same = np.allclose(given, probabilities(folder, tiny_backbone))
            assert change in HARMLESS or same, (folder.name, file, name, change)
            assert np.isfinite(given).all(), (folder.name, file, name, change)
    assert tried >= 200


@pytest.mark.parametrize("method", [name for name in METHODS if not method_class(name).open_names])
def test_every_tensor_of_every_head_changed_in_every_way_is_refused_or_answers_in_numbers(
    tiny_backbone, tmp_path, method
):
    settings = {"epochs": 2, "training": {"views": 1}} if method_class(method).learns else {}
    made = PromptClassifier(method=method, backbone=tiny_backbone, cache=None, shots=1, **settings)
    made.fit(IMAGES, ["dark", "light"]).save(tmp_path / "model")
    tensors, refused = load_file(tmp_path / "model/prompts.safetensors"), {}
    for name, tensor in tensors.items():
        for change, changed in CHANGES.items():
            try:
                tensors_now = {**tensors, name: changed(tensor)}
            except (RuntimeError, IndexError, ValueError):  # a number has no axis, and a label is no infinity
                continue
            target = tampered(tmp_path / "model", tmp_path / f"{name} {change}", "prompts.safetensors", tensors_now)
            try:
                given = probabilities(target, tiny_backbone)
            except (ModelFolderError, NonFiniteLogitsError) as refusal:
                refused[change] = str(refusal)
            else:
                assert change in HARMLESS, (name, change)
                assert np.isfinite(given).all(), (name, change)
    assert set(CHANGES) - HARMLESS <= refused.keys()
    assert all("\n" not in sentence and len(sentence) < 500 for sentence in refused.values())


def test_labels_of_a_cache_that_are_no_class_are_refused(tiny_backbone, tmp_path):
    made = PromptClassifier(method="tip-adapter", backbone=tiny_backbone, cache=None, shots=1)
    made.fit(IMAGES, ["dark", "light"]).save(tmp_path / "model")
    tensors = load_file(tmp_path / "model/prompts.safetensors")
    for label in (-1, 2, 2**40):
        changed = {**tensors, "labels": torch.tensor([0, label])}
        target = tampered(tmp_path / "model", tmp_path / str(label), "prompts.safetensors", changed)
        with pytest.raises(ModelFolderError, match=r"prompts\.safetensors was changed: labels must be from 0 to 1"):
            probabilities(target, tiny_backbone)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_nobody_changed_loads(models, tiny_backbone, name):
    assert np.isfinite(probabilities(models[name], tiny_backbone)).all()


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", MODELS)
def test_a_tensor_too_many_is_named(models, tiny_backbone, tmp_path, name, file):
    tensors = {**load_file(models[name] / file), "extra\x1b\n" + "x" * 500: torch.ones(2)}
    with pytest.raises(ModelFolderError, match=r"unknown tensor 'extra\\x1b") as refusal:
        probabilities(tampered(models[name], tmp_path / "m", file, tensors), tiny_backbone)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("name", [name for name in MODELS if name != "zero-shot"])
def test_a_learned_tensor_that_is_missing_is_named(models, tiny_backbone, tmp_path, name):
    tensors = load_file(models[name] / "prompts.safetensors")
    for missing in tensors:
        rest = {key: tensor for key, tensor in tensors.items() if key != missing}
        with pytest.raises(ModelFolderError, match=f"lacks the tensor '{missing}'"):
            probabilities(tampered(models[name], tmp_path / missing, "prompts.safetensors", rest), tiny_backbone)


@pytest.mark.parametrize("name", MODELS)
def test_a_kept_tensor_that_is_missing_is_computed_again_or_missed_by_name(models, tiny_backbone, tmp_path, name):
    tensors = load_file(models[name] / "prediction.safetensors")
    for missing in tensors:
        rest = {key: tensor for key, tensor in tensors.items() if key != missing}
        target = tampered(models[name], tmp_path / missing, "prediction.safetensors", rest)
        named: list[str] = []
        try:
            given = probabilities(target, tiny_backbone)
        except ModelFolderError as refusal:
            named.append(str(refusal))
        if named:
            assert "prediction.safetensors" in named[0]
        else:
            assert np.allclose(given, probabilities(models[name], tiny_backbone))


def header_bomb(length: int, text: bytes = b"{}") -> bytes:
    return length.to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        header_bomb(2**63),
        header_bomb(10**9),
        header_bomb(2),
        header_bomb(64, b'{"x":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}'),
        header_bomb(70, b'{"x":{"dtype":"F32","shape":[9223372036854775807,9],"data_offsets":[0,4]}}'),
        header_bomb(100_000, b"[" * 100_000),
    ],
)
def test_a_header_that_promises_more_than_there_is_costs_nothing(models, tiny_backbone, tmp_path, content):
    folder = shutil.copytree(models["coop"], tmp_path / "m")
    (folder / "prompts.safetensors").write_bytes(content)
    description = json.loads((folder / "model.json").read_text())
    description["tensors_sha256"] = hashlib.sha256(content).hexdigest()
    (folder / "model.json").write_text(json.dumps(description))
    with pytest.raises(VlpromptError, match=r"prompts\.safetensors") as refusal:
        probabilities(folder, tiny_backbone)
    assert len(str(refusal.value)) < 500


def as_pipe(path: Path) -> None:
    os.mkfifo(path)


def as_endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_folder(path: Path) -> None:
    path.mkdir()


def as_huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10**12)


@pytest.mark.parametrize("make", [as_pipe, as_endless, as_folder, as_huge])
@pytest.mark.parametrize("file", ["model.json", *FILES])
def test_only_regular_files_of_a_sensible_size_are_read(models, tiny_backbone, tmp_path, file, make):
    folder = shutil.copytree(models["coop"], tmp_path / "m")
    (folder / file).unlink()
    make(folder / file)
    with pytest.raises(ModelFolderError, match=file.replace(".", r"\.")):
        probabilities(folder, tiny_backbone)
