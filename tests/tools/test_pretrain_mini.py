"""Pre-training's parts: scenes, captions, export and resuming, on random drawings."""

from __future__ import annotations

import random
from pathlib import Path

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
