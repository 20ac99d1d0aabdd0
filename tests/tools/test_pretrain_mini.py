"""Pre-training's parts: scenes, captions, export and resuming, on random drawings."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import numpy as np
import open_clip
import pytest
import torch

from tests.tools.tool_modules import tool

mini_captions = tool("mini_captions")
mini_model = tool("mini_model")
mini_scenes = tool("mini_scenes")
pretrain = tool("pretrain_mini")
Thing = tool("emoji_sources").Thing


def made_up_drawings(count: int = 380) -> object:
    """One random drawing each of `count` things."""
    names = [f"cat {number}" for number in range(count)]
    things = [Thing(name, "1f431", "animals", name) for name in names]
    pixels = torch.randint(256, (count, 4, 64, 64), dtype=torch.uint8)
    return pretrain.Drawings(things, pixels, torch.arange(count)[:, None], torch.ones(count, dtype=torch.long))


def composed(seed: int) -> object:
    drawings = torch.full((32, 4, 64, 64), 200, dtype=torch.uint8)
    return mini_scenes.SceneComposer(64).compose(drawings, torch.Generator().manual_seed(seed))


def test_scenes_follow_from_the_seed_and_stay_in_range() -> None:
    first, again, other = composed(1), composed(1), composed(2)
    assert torch.equal(first.pixels, again.pixels)
    assert not torch.equal(first.pixels, other.pixels)
    assert 0 <= float(first.pixels.min()) <= float(first.pixels.max()) <= 1


def test_a_prompt_is_tokenised_as_open_clip_does() -> None:
    tokens = mini_captions.sequence("a photo of a {}, a type of food.", "hot dog")
    expected = open_clip.tokenize(["a photo of a hot dog, a type of food."])[0]
    assert tokens == expected[: len(tokens)].tolist()
    assert int(expected[len(tokens) :].sum()) == 0


def test_false_captions_have_the_true_ones_form_but_other_words() -> None:
    true = mini_captions.Facts("small", "blurry", "striped", "red", True, False)
    for seed in range(50):
        first, *others = mini_captions.captions("cat", true, random.Random(seed), wrong=2)
        assert all(other != first for other in others)


def test_the_vocabulary_holds_every_caption() -> None:
    known = set(mini_captions.vocabulary(["hot dog"]))
    choice = random.Random(0)
    scenes = composed(3)
    for row in range(32):
        kind = choice.choice(list(mini_captions.KINDS))
        assert known.issuperset(mini_captions.prompt("hot dog", kind, choice))
        for caption in mini_captions.captions("hot dog", mini_captions.facts(scenes, row), choice, 2):
            assert known.issuperset(caption)


def test_an_exported_model_gives_the_trained_models_features(tmp_path: Path) -> None:
    tokens = mini_captions.vocabulary(["hot dog"])
    trained = mini_model.TrainedModel(tokens, things=3).eval()
    mini_model.export(trained.state_dict(), tokens, tmp_path)
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path}")
    texts = open_clip.tokenize(["a photo of a hot dog."])
    sequence = mini_captions.sequence("a photo of a {}.", "hot dog")
    with torch.inference_mode():
        given = torch.nn.functional.normalize(model.eval().encode_text(texts), dim=-1)
        # The weights were rounded to half precision.
        torch.testing.assert_close(given, trained.encode_text([sequence]), atol=5e-3, rtol=0)


class Studio:
    """A studio that draws everything by one icon."""

    def __init__(self, name: str, icon: str) -> None:
        self.name, self.only = name, icon

    def icon(self, thing: object) -> str:
        return self.only

    def svg(self, icon: str) -> str:
        return f"{self.name} {icon}"


@pytest.fixture
def studio_drawings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[str]]:
    """Loads the drawings of eight made-up studios and gives what had to be rendered for it."""
    rendered: list[str] = []

    def render(svg: str, size: int) -> np.ndarray:
        rendered.append(svg)
        return np.full((size, size, 4), len(rendered), np.uint8)

    def load(icon: str = "icon", code: str = "1f431") -> list[str]:
        studios = {name: Studio(name, icon) for name in pretrain.TRAINING_STUDIOS}
        monkeypatch.setattr(pretrain, "load_studios", lambda packages, names: studios)
        monkeypatch.setattr(pretrain, "things", lambda packages: [Thing("cat", code, "animals", "cat")])
        monkeypatch.setattr(pretrain, "render", render)
        rendered.clear()
        drawings = pretrain.load_drawings(tmp_path, tmp_path / "drawings.npz")
        assert drawings.pixels.shape == (8, 4, pretrain.IMAGE_SIZE, pretrain.IMAGE_SIZE)
        return list(rendered)

    return load


def test_drawings_are_rendered_once(studio_drawings: Callable[..., list[str]], tmp_path: Path) -> None:
    assert len(studio_drawings()) == 8
    assert studio_drawings() == []
    assert [path.name for path in tmp_path.iterdir()] == ["drawings.npz"]


@pytest.mark.parametrize("change", [{"icon": "other"}, {"code": "1f408"}])
def test_other_drawings_are_rendered_anew(studio_drawings: Callable[..., list[str]], change: dict[str, str]) -> None:
    studio_drawings()
    assert len(studio_drawings(**change)) == 8
    assert studio_drawings(**change) == []


@pytest.mark.parametrize("left", [0, 100, 0.5])
def test_a_cache_cut_short_is_rendered_anew(
    studio_drawings: Callable[..., list[str]], tmp_path: Path, left: float
) -> None:
    studio_drawings()
    cache = tmp_path / "drawings.npz"
    whole = cache.read_bytes()
    cache.write_bytes(whole[: left if isinstance(left, int) else int(left * len(whole))])
    assert len(studio_drawings()) == 8


def test_a_write_that_fails_leaves_no_cache(
    studio_drawings: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: BinaryIO, **arrays: object) -> None:
        file.write(b"half")
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(np, "savez_compressed", full)
        with pytest.raises(OSError, match="no space left"):
            studio_drawings()
    assert not (tmp_path / "drawings.npz").exists()
    assert len(studio_drawings()) == 8


def test_sigterm_saves_a_checkpoint_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = SimpleNamespace(
        batch=lambda number, difficulty: number,
        step=lambda batch, rate: os.kill(os.getpid(), signal.SIGTERM) if batch == 2 else {"image": 1.0},
    )
    saved: list[int] = []
    monkeypatch.setattr(pretrain, "save_checkpoint", lambda path, trainer, progress: saved.append(progress.step))
    before = signal.getsignal(signal.SIGTERM)
    try:
        pretrain.stop_on_sigterm()
        pretrain.train(trainer, pretrain.Progress(steps=9, minutes=0), tmp_path / "c.pt", every=1e9)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert saved == [2]


@pytest.mark.slow
def test_a_stopped_run_continues_to_the_same_weights(tmp_path: Path) -> None:
    torch.manual_seed(0)
    drawings = made_up_drawings()
    whole = pretrain.Trainer(drawings, seed=1)
    pretrain.train(whole, pretrain.Progress(steps=4, minutes=0), tmp_path / "whole.pt", every=1e9)
    half = pretrain.Trainer(drawings, seed=1)
    stopped = pretrain.Progress(steps=4, minutes=0)
    for _ in range(2):
        batch = half.batch(stopped.step, pretrain.difficulty(stopped.done))
        half.step(batch, pretrain.one_cycle(stopped.done))
        stopped.step += 1
    pretrain.save_checkpoint(tmp_path / "half.pt", half, stopped)
    rest = pretrain.Trainer(drawings, seed=1)
    progress = pretrain.Progress(steps=4, minutes=0)
    pretrain.resume(tmp_path / "half.pt", rest, progress)
    pretrain.train(rest, progress, tmp_path / "half.pt", every=1e9)
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(rest.model.state_dict()[name], value, atol=0, rtol=0)
