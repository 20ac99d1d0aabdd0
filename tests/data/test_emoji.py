"""The bundled benchmark and model: fixed scenes, small files, CLIP's own format and scale."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
import zlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from vlprompt.data.emoji import EMOJI_DATASETS, EMOJI_DOMAINS, load_emoji
from vlprompt.data.emoji.pack import read_pack
from vlprompt.data.emoji.scenes import SIZE, Scene
from vlprompt.data.samples import ComposedImage, Sample
from vlprompt.errors import UnknownNameError

PACK = Path(str(resources.files("vlprompt.data.emoji"))) / "pack"
MINI = Path(str(resources.files("vlprompt.backbones"))) / "mini"
needs_mini = pytest.mark.skipif(not (MINI / "open_clip_model.safetensors").is_file(), reason="mini is not built")


def every_sample(name: str, domain: str = "flat") -> tuple[Sample, ...]:
    dataset = load_emoji(name, domain)
    return dataset.train + dataset.val + dataset.test


def scene(sample: Sample) -> Scene:
    assert isinstance(sample.image, Scene)
    return sample.image


@pytest.mark.parametrize("name", EMOJI_DATASETS)
def test_a_data_set_has_fifty_classes_with_32_8_and_30_scenes_each(name: str) -> None:
    dataset = load_emoji(name)
    assert len(dataset.class_names) == 50
    for split, scenes in ((dataset.train, 32), (dataset.val, 8), (dataset.test, 30)):
        assert [sample.label for sample in split] == [label for label in range(50) for _ in range(scenes)]
    assert dataset.name == name
    assert dataset.template.count("{}") == 1


@pytest.mark.parametrize("name", EMOJI_DATASETS)
def test_class_names_are_unique_plain_words(name: str) -> None:
    names = load_emoji(name).class_names
    assert len({class_name.lower() for class_name in names}) == len(names)
    for class_name in names:
        assert class_name.isascii()
        assert "_" not in class_name
        assert class_name == " ".join(class_name.split())


def test_no_thing_is_in_two_data_sets() -> None:
    codes = [code for entry in read_pack().datasets.values() for code in entry.code_points]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("domain", EMOJI_DOMAINS)
def test_every_domain_shows_the_same_classes_and_splits(domain: str) -> None:
    for name in EMOJI_DATASETS:
        flat, other = load_emoji(name), load_emoji(name, domain)
        assert other.class_names == flat.class_names
        assert [sample.label for sample in other.test] == [sample.label for sample in flat.test]


def test_content_keys_are_distinct_between_scenes_splits_and_domains() -> None:
    keys = [
        scene(sample).content_key
        for name in EMOJI_DATASETS
        for domain in EMOJI_DOMAINS
        for sample in every_sample(name, domain)
    ]
    assert len(set(keys)) == len(keys) == 6 * 3 * 50 * 70


def test_a_scene_is_the_same_picture_whenever_and_wherever_it_is_opened() -> None:
    sample = load_emoji("emoji-animals").test[40]
    image = scene(sample)
    assert isinstance(image, ComposedImage)
    again = pickle.loads(pickle.dumps(image))
    assert again == image
    assert again.open().tobytes() == image.open().tobytes()
    assert (image.open().mode, image.open().size) == ("RGB", (SIZE, SIZE))


def test_a_pickled_scene_holds_no_pixels() -> None:
    image = scene(load_emoji("emoji-food").train[0])
    image.open()
    assert len(pickle.dumps(image)) < 400


def test_scenes_of_a_class_differ() -> None:
    train = load_emoji("emoji-faces").train[:32]
    assert len({scene(sample).open().tobytes() for sample in train}) == 32


PINNED = json.loads((Path(__file__).parent / "emoji_scenes.json").read_text())


@pytest.mark.parametrize("pinned", PINNED, ids=[entry["content_key"].replace("/", "-") for entry in PINNED])
def test_pinned_scenes_have_not_changed(pinned: dict[str, object]) -> None:
    """Another picture needs another composer version. Pillow's resampling may round differently by machine."""
    dataset = load_emoji(str(pinned["dataset"]), str(pinned["domain"]))
    sample = getattr(dataset, str(pinned["split"]))[pinned["position"]]
    assert sample.class_name == pinned["class_name"]
    assert scene(sample).content_key == pinned["content_key"]
    pixels = np.asarray(scene(sample).open(), dtype=np.float64)
    blocks = pixels.reshape(4, SIZE // 4, 4, SIZE // 4, 3).mean((1, 3, 4))
    np.testing.assert_allclose(blocks, np.array(pinned["block_means"]), atol=0.5)


@pytest.mark.parametrize(("name", "domain"), [("emoji-fod", "flat"), ("emoji-food", "4d")])
def test_an_unknown_data_set_or_domain_suggests_the_nearest(name: str, domain: str) -> None:
    with pytest.raises(UnknownNameError, match=r"emoji-food|3d"):
        load_emoji(name, domain)


def test_listing_a_data_set_imports_no_torch() -> None:
    code = (
        "import sys; from vlprompt.data.emoji import load_emoji; load_emoji('emoji-food').test[0].image.open(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_manifest_describes_the_sheets() -> None:
    manifest = json.loads((PACK / "manifest.json").read_text(encoding="utf-8"))
    assert sorted(manifest["datasets"]) == sorted(EMOJI_DATASETS)
    assert {path.name for path in PACK.glob("*.webp")} == {
        f"{name}-{domain}.webp" for name in EMOJI_DATASETS for domain in EMOJI_DOMAINS
    }
    assert (PACK / "LICENSE").is_file()


@needs_mini
def test_pack_and_weights_take_less_than_twelve_megabytes_in_a_wheel() -> None:
    files = [path for folder in (PACK, MINI) for path in folder.iterdir() if path.is_file()]
    # The quickest level: a wheel's own is slower and packs tighter.
    assert sum(len(zlib.compress(path.read_bytes(), level=1)) for path in files) < 12e6


@needs_mini
def test_open_clip_itself_loads_the_mini_model() -> None:
    import open_clip
    import torch

    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{MINI}")
    tokens = open_clip.get_tokenizer(f"local-dir:{MINI}")(["a photo of a cat."])
    with torch.inference_mode():
        image = transform(scene(load_emoji("emoji-food").test[0]).open())
        assert model.eval().encode_image(image[None]).shape == model.encode_text(tokens).shape
    assert (MINI / "LICENSE").is_file()


@needs_mini
def test_the_mini_models_embeddings_have_clips_scale() -> None:
    from safetensors.torch import load_file

    weights = load_file(MINI / "open_clip_model.safetensors")
    table = weights["token_embedding.weight"].float()
    trained = table[(table.abs() - 0.02).abs().amax(1) > 1e-4]
    assert 500 < len(trained) < 3000
    assert 0.01 < float(trained.std()) < 0.04
    assert 0.015 < float(table.std()) < 0.025
    assert float(weights["positional_embedding"].float().std()) < 0.04
    assert 30 < math.exp(float(weights["logit_scale"])) <= 100.5


@needs_mini
@pytest.mark.slow
def test_the_mini_model_names_unseen_drawings() -> None:
    from tests.tools.tool_modules import tool

    evaluate_mini = tool("evaluate_mini")
    table = evaluate_mini.evaluate(evaluate_mini.ZeroShot(MINI), None, every=5, domains=["flat"])
    assert table["average"]["flat"] > 65
