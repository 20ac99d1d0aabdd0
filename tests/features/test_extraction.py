from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from tests.features.small_encoder import PREPROCESSING, SmallEncoder, random_pixels
from vlprompt.backbones import Backbone
from vlprompt.data.samples import EncodedImage
from vlprompt.errors import SettingsError, UnreadableImagesError
from vlprompt.features import CacheWarning, FeatureExtractor, UnreadableImagesWarning, extraction
from vlprompt.features.transforms import view_pixels

Photos = Callable[..., list[Path]]

# A batch of another size may round differently in the last bits.
ROUNDING = {"rtol": 0, "atol": 1e-6}


@dataclass(frozen=True)
class Scene:
    seed: int

    @property
    def content_key(self) -> str:
        return f"scene {self.seed}"

    def open(self) -> Image.Image:
        return Image.fromarray(random_pixels(self.seed))


def in_memory(count: int) -> list[np.ndarray]:
    return [random_pixels(seed) for seed in range(count)]


def test_features_are_those_of_open_clips_preprocessing(tiny_backbone: Backbone) -> None:
    images = [Image.fromarray(random_pixels(seed, 40 + seed, 50 - seed)) for seed in range(7)]
    extracted = FeatureExtractor(tiny_backbone, cache=None, batch_size=3).extract(images)
    preprocess = image_transform_v2(
        PreprocessCfg(size=32, mean=tiny_backbone.image.mean, std=tiny_backbone.image.std), is_train=False
    )
    with torch.no_grad():
        expected = torch.stack([tiny_backbone.encode_images(preprocess(image)[None])[0] for image in images])
    assert extracted.values.dtype == np.float32
    np.testing.assert_allclose(extracted.values, expected.numpy(), rtol=1e-4, atol=1e-5)
    assert extracted.kept.tolist() == list(range(7))


def test_views_are_the_encoded_random_crops_of_each_image(encoder: SmallEncoder) -> None:
    images = in_memory(3)
    values = FeatureExtractor(encoder, cache=None).views(images, 4, seed=5).values
    assert values.shape == (3, 4, 8)
    from vlprompt.data.images import image_key

    pixels = view_pixels(Image.fromarray(images[1]), 16, 5, image_key(images[1])[:32], 2)
    batch = extraction.normalise(torch.from_numpy(pixels.copy())[None], PREPROCESSING)
    np.testing.assert_allclose(values[1, 2], encoder.encode_images(batch)[0].numpy(), **ROUNDING)


@settings(deadline=None, max_examples=25)
@given(
    order=st.permutations(range(9)),
    batch_size=st.integers(1, 30),
    count=st.integers(1, 4),
    first=st.integers(0, 2),
)
def test_a_view_depends_on_neither_order_nor_batch_nor_the_other_views(
    order: list[int], batch_size: int, count: int, first: int
) -> None:
    images = in_memory(9)
    everything = FeatureExtractor(SmallEncoder(), cache=None).views(images, 6, seed=1).values
    extractor = FeatureExtractor(SmallEncoder(), cache=None, batch_size=batch_size)
    some = extractor.views([images[at] for at in order], count, seed=1, first=first).values
    np.testing.assert_allclose(some, everything[order, first : first + count], **ROUNDING)


@pytest.mark.parametrize("kind", ["files", "arrays", "scenes"])
def test_results_do_not_depend_on_the_number_of_workers(encoder: SmallEncoder, photos: Photos, kind: str) -> None:
    images = {"files": photos, "arrays": in_memory, "scenes": lambda n: [Scene(seed) for seed in range(n)]}[kind](12)
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    results = [
        FeatureExtractor(encoder, cache=None, batch_size=4, workers=workers).views(images, 2, seed=1).values
        for workers in (0, 2)
    ]
    assert np.array_equal(results[0], results[1])
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_warm_cache_encodes_nothing_and_gives_the_same_bits(encoder: SmallEncoder, photos: Photos) -> None:
    images = photos(10)
    cold = FeatureExtractor(encoder, batch_size=4)
    first = cold.extract(images).values, cold.views(images, 3, seed=1).values
    encoded = encoder.encoded
    for extractor in (cold, FeatureExtractor(encoder)):
        assert np.array_equal(extractor.extract(images).values, first[0])
        assert np.array_equal(extractor.views(images, 3, seed=1).values, first[1])
    assert encoder.encoded == encoded == 10 + 30


def test_one_more_photo_costs_one(encoder: SmallEncoder, photos: Photos) -> None:
    images = photos(20)
    FeatureExtractor(encoder).extract(images)
    images = [*photos(1, first=20), *images]
    before = encoder.encoded
    values = FeatureExtractor(encoder).extract(images).values
    assert encoder.encoded == before + 1
    np.testing.assert_allclose(values, FeatureExtractor(encoder, cache=None).extract(images).values, **ROUNDING)


def test_more_views_cost_only_the_new_ones_and_another_seed_all(encoder: SmallEncoder) -> None:
    images = in_memory(5)
    extractor = FeatureExtractor(encoder)
    two = extractor.views(images, 2, seed=1).values
    four = extractor.views(images, 4, seed=1).values
    assert encoder.encoded == 5 * 4
    assert np.array_equal(four[:, :2], two)
    extractor.views(images, 4, seed=2)
    assert encoder.encoded == 5 * 8


def test_equal_images_are_encoded_once(encoder: SmallEncoder, photos: Photos, tmp_path: Path) -> None:
    (photo,) = photos(1)
    copy = tmp_path / "copy.png"
    copy.write_bytes(photo.read_bytes())
    values = FeatureExtractor(encoder, cache=None).extract([photo, copy, photo]).values
    assert encoder.encoded == 1
    assert np.array_equal(values[0], values[1])
    assert np.array_equal(values[0], values[2])


def test_a_renamed_file_is_known_by_its_content(encoder: SmallEncoder, photos: Photos, tmp_path: Path) -> None:
    (photo,) = photos(1)
    before = FeatureExtractor(encoder).extract([photo]).values
    assert np.array_equal(FeatureExtractor(encoder).extract([photo.rename(tmp_path / "new.png")]).values, before)
    assert encoder.encoded == 1


def test_another_backbone_transform_or_precision_has_its_own_rows(encoder: SmallEncoder) -> None:
    images = in_memory(2)
    FeatureExtractor(encoder).extract(images)
    for other in (SmallEncoder(fingerprint="b" * 64), SmallEncoder(precision="bf16"), SmallEncoder(feature_size=4)):
        assert FeatureExtractor(other).extract(images).values.shape == (2, other.feature_size)
        assert other.encoded == 2


def test_no_images_give_no_features(encoder: SmallEncoder) -> None:
    extractor = FeatureExtractor(encoder)
    assert extractor.extract([]).values.shape == (0, 8)
    assert extractor.views([], 3, seed=1).values.shape == (0, 3, 8)


@pytest.fixture
def some_unreadable(photos: Photos, tmp_path: Path) -> list[Path]:
    """Six images, of which those at 1, 3, 4 and 5 cannot be read."""
    good = photos(2)
    truncated, missing, empty, empty_too = (tmp_path / f"{name}.png" for name in ("cut", "gone", "none", "none2"))
    truncated.write_bytes(good[0].read_bytes()[:200])
    empty.touch()
    empty_too.touch()
    return [good[0], truncated, good[1], missing, empty, empty_too]


@pytest.mark.parametrize("workers", [0, 2])
def test_all_unreadable_images_are_named_at_once(
    encoder: SmallEncoder, some_unreadable: list[Path], workers: int
) -> None:
    with pytest.raises(UnreadableImagesError) as caught:
        FeatureExtractor(encoder, batch_size=1, workers=workers).extract(some_unreadable)
    assert list(caught.value.failures) == [str(some_unreadable[at]) for at in (1, 3, 4, 5)]
    assert all(caught.value.failures.values())


@pytest.mark.parametrize("cache", ["default", None])
def test_unreadable_images_are_skipped_with_one_warning_that_names_them(
    encoder: SmallEncoder, some_unreadable: list[Path], cache: str | None
) -> None:
    extractor = FeatureExtractor(encoder, cache=cache, on_unreadable="skip")
    for _ in range(2):
        with pytest.warns(UnreadableImagesWarning) as caught:
            extracted = extractor.extract(some_unreadable)
        assert len(caught) == 1
        assert all(str(some_unreadable[at]) in str(caught[0].message) for at in (1, 3, 4, 5))
        assert extracted.kept.tolist() == [0, 2]
    expected = FeatureExtractor(encoder, cache=None).extract([some_unreadable[0], some_unreadable[2]]).values
    np.testing.assert_allclose(extracted.values, expected, **ROUNDING)


def test_a_warning_about_very_many_images_is_cut_short(encoder: SmallEncoder, tmp_path: Path) -> None:
    images = [tmp_path / f"{number}.png" for number in range(50)]
    with pytest.warns(UnreadableImagesWarning, match="and 30 others"):
        assert FeatureExtractor(encoder, on_unreadable="skip").extract(images).values.shape == (0, 8)


def test_a_stopped_run_keeps_what_it_computed(encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    images = in_memory(10)

    def stop(done: int, total: int) -> None:
        if done >= 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FeatureExtractor(encoder, batch_size=2, on_progress=stop).extract(images)
    FeatureExtractor(encoder, batch_size=2).extract(images)
    assert encoder.encoded == 10


def test_a_long_run_saves_as_it_goes(encoder: SmallEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extraction, "SAVE_SECONDS", 0.0)
    seen: list[int] = []
    other = SmallEncoder()

    def look(done: int, total: int) -> None:
        if done == 4:
            FeatureExtractor(other, batch_size=2).extract(in_memory(6))
            seen.append(other.encoded)

    FeatureExtractor(encoder, batch_size=2, on_progress=look).extract(in_memory(6))
    assert seen == [2]


def test_progress_counts_what_must_be_encoded(encoder: SmallEncoder) -> None:
    told: list[tuple[int, int]] = []
    extractor = FeatureExtractor(encoder, batch_size=4, on_progress=lambda *counts: told.append(counts), progress=True)
    extractor.extract(in_memory(2))
    extractor.extract(in_memory(10))
    assert told == [(2, 2), (4, 8), (8, 8)]


def test_nothing_is_drawn_where_stderr_is_no_terminal(
    encoder: SmallEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    FeatureExtractor(encoder, progress=True).extract(in_memory(3))
    assert capsys.readouterr() == ("", "")


def test_a_damaged_cache_is_computed_again(encoder: SmallEncoder, cache: Path) -> None:
    images = in_memory(3)
    before = FeatureExtractor(encoder).extract(images).values
    (shard,) = cache.rglob("*evaluation*/*.npy")
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.warns(CacheWarning, match="damaged"):
        assert np.array_equal(FeatureExtractor(encoder).extract(images).values, before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FeatureExtractor(encoder).extract(images)
    assert encoder.encoded == 6


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_result(
    encoder: SmallEncoder, photos: Photos, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    images = photos(3)
    extractor = FeatureExtractor(encoder, cache=tmp_path / "file" / "cache")
    with pytest.warns(CacheWarning, match="file/cache.* cannot be written") as caught:
        values = extractor.extract(images).values
    assert len(caught) == 1
    np.testing.assert_allclose(values, FeatureExtractor(encoder, cache=None).extract(images).values, **ROUNDING)


@pytest.mark.parametrize(
    "option",
    [{"batch_size": 0}, {"workers": -1}, {"workers": "many"}, {"on_unreadable": "ignore"}],
    ids=lambda option: next(iter(option)),
)
def test_a_wrong_option_is_refused_by_name(encoder: SmallEncoder, option: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(option))):
        FeatureExtractor(encoder, **option)


def test_no_views_are_refused(encoder: SmallEncoder) -> None:
    with pytest.raises(SettingsError, match="at least 1, not 0"):
        FeatureExtractor(encoder).views([], 0, seed=1)


def test_the_order_of_the_images_is_kept(encoder: SmallEncoder, photos: Photos) -> None:
    images = [*photos(8), *in_memory(4)]
    random.Random(0).shuffle(images)
    together = FeatureExtractor(encoder).extract(images).values
    for image, value in zip(images, together, strict=True):
        np.testing.assert_allclose(FeatureExtractor(encoder, cache=None).extract([image]).values[0], value, **ROUNDING)


def test_views_have_the_same_bits_whatever_the_cache_held_before(tiny_backbone: Backbone, tmp_path: Path) -> None:
    images = [Scene(seed) for seed in range(30)]
    partly = FeatureExtractor(tiny_backbone, cache=tmp_path / "partly", workers=0)
    partly.views(images[4:11], 2, seed=1)
    fresh = FeatureExtractor(tiny_backbone, cache=tmp_path / "fresh", workers=0)
    assert (partly.views(images, 3, seed=1).values == fresh.views(images, 3, seed=1).values).all()


def stored_in_every_way(folder: Path) -> dict[str, list]:
    """The same pictures composed, as files of two kinds, as arrays, Pillow images, bytes and fractions of white."""
    scenes = [Scene(seed) for seed in range(5)]
    pictures = [scene.open() for scene in scenes]
    files = {}
    for suffix in ("png", "bmp", "tif"):
        files[suffix] = [folder / f"{at}.{suffix}" for at in range(len(pictures))]
        for picture, path in zip(pictures, files[suffix], strict=True):
            picture.save(path)
    return {
        "composed": scenes,
        **files,
        "arrays": [np.asarray(picture) for picture in pictures],
        "Pillow images": pictures,
        "bytes": [EncodedImage(path.read_bytes()) for path in files["png"]],
        "fractions": [np.asarray(picture) / 255 for picture in pictures],
    }


def test_the_same_pixels_have_the_same_views_however_they_are_stored(tiny_backbone: Backbone, tmp_path: Path) -> None:
    results = {
        kind: FeatureExtractor(tiny_backbone, cache=None, workers=0).views(images, 3, seed=1).values
        for kind, images in stored_in_every_way(tmp_path).items()
    }
    assert all(np.array_equal(values, results["composed"]) for values in results.values())


def test_other_pixels_have_other_crops(encoder: SmallEncoder) -> None:
    # One pixel differs: with the same crops, the features would hardly differ.
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    other = pixels.copy()
    other[0, 0] ^= 1
    values = FeatureExtractor(encoder, cache=None).views([pixels, other], 4, seed=1).values
    assert np.abs(values[0] - values[1]).max() > 1e-3


@pytest.mark.parametrize("workers", [0, 2])
def test_large_and_uncommon_pictures_have_the_features_of_small_ones(
    encoder: SmallEncoder, tmp_path: Path, workers: int
) -> None:
    """Whether a picture is opened in a process of its own changes no bit."""
    picture = Image.fromarray(random_pixels(0, 60, 80))
    for name in ("a.tif", "b.png"):
        picture.save(tmp_path / name)
    (tmp_path / "cut.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:100])
    images = [
        tmp_path / "a.tif",
        tmp_path / "cut.tif",
        tmp_path / "b.png",
        EncodedImage((tmp_path / "a.tif").read_bytes()),
    ]
    extractor = FeatureExtractor(encoder, cache=None, workers=workers, batch_size=2, on_unreadable="skip")
    for compute in (extractor.extract, lambda images: extractor.views(images, 2, seed=3)):
        with pytest.warns(UnreadableImagesWarning, match=r"cut.tif: it is damaged"):
            extracted = compute(images)
        assert extracted.kept.tolist() == [0, 2, 3]
        np.testing.assert_allclose(extracted.values[0], extracted.values[1], **ROUNDING)
        np.testing.assert_array_equal(extracted.values[0], extracted.values[2])


def test_a_picture_beyond_the_limit_is_unreadable_with_the_limit_that_would_do(
    encoder: SmallEncoder, photos: Photos
) -> None:
    images = photos(2)
    with pytest.raises(UnreadableImagesError, match=r"more with max_pixels=\d+"):
        FeatureExtractor(encoder, cache=None, max_pixels=200).extract(images)
    assert FeatureExtractor(encoder, cache=None, max_pixels=1000).extract(images).values.shape == (2, 8)
    with pytest.raises(SettingsError, match="max_pixels is 0"):
        FeatureExtractor(encoder, max_pixels=0)
