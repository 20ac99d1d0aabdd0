"""Image features: the plain way (one image after the other) against ours, cold and warm, in one process.

    python speed/features.py --model mini --images 1000 --json features.json

The plain way opens an image with Pillow, applies OpenCLIP's own transform and encodes a batch of one. Ours is
`FeatureExtractor`: cold with an empty cache, in this process and with the workers that "auto" chooses, and warm.
Views are ten random crops of each image: torchvision's transform on the image opened for every view against ours.
The encoder alone is timed on a batch as ours lays it out (channels last), on one with channels first, and under no_grad
in place of inference mode.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import measuring
import numpy as np
import open_clip
import torch
from PIL import Image
from plain_way import evaluation_transform, training_transform

from vlprompt.backbones import Backbone, ImagePreprocessing, freeze, load_backbone
from vlprompt.features import FeatureExtractor
from vlprompt.features.extraction import normalise

VIEWS = 10
VIEWED = 128
BATCH = 64
MINI_LIKE = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 64, "layers": [1, 1, 2, 1], "width": 16, "head_width": 32},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 128, "heads": 4, "layers": 3},
}


def backbone_of(name: str) -> Backbone:
    """The bundled model, one of mini's shape, or an architecture of OpenCLIP's list with random weights."""
    if name == "mini":
        return load_backbone("mini", device="cpu")
    torch.manual_seed(0)
    model = open_clip.model.CLIP(**MINI_LIKE) if name == "mini-like" else open_clip.create_model(name)
    size = model.visual.image_size
    preprocessing = ImagePreprocessing(
        size[0] if isinstance(size, tuple) else size, open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    )
    tokenizer = open_clip.SimpleTokenizer()
    return freeze(model, name=name, preprocessing=preprocessing, tokenizer=tokenizer, device=torch.device("cpu"))


def write_photos(folder: Path, count: int, width: int, height: int) -> list[Path]:
    """JPEG files of smooth noise, which take as long to decode as photographs do."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        coarse = random.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        noisy = np.asarray(image).astype(np.int16) + random.integers(-12, 13, (height, width, 3))
        paths.append(folder / f"{number:05}.jpg")
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    return paths


def plain_features(backbone: Backbone, photos: list[Path]) -> np.ndarray:
    """The published way."""
    preprocess = evaluation_transform(backbone.image)
    features = []
    for path in photos:
        with torch.no_grad():
            features.append(backbone.encode_images(preprocess(Image.open(path).convert("RGB"))[None])[0])
    return torch.stack(features).numpy()


def plain_views(backbone: Backbone, photos: list[Path]) -> None:
    """The published training transform without the encoder, the image opened for every view."""
    transform = training_transform(backbone.image)
    for path in photos:
        for _ in range(VIEWS):
            transform(Image.open(path).convert("RGB"))


class Nothing:
    """The backbone without its work, so that loading and transforming are timed alone."""

    def __init__(self, backbone: Backbone) -> None:
        self.name, self.fingerprint, self.image = "nothing", "0" * 64, backbone.image
        self.feature_size, self.device, self.precision, self.image_code = 1, backbone.device, "fp32", ""

    def encode_images(self, batch: torch.Tensor) -> torch.Tensor:
        return batch[:, 0, 0, :1]


def measure(backbone: Backbone, photos: list[Path], folder: Path, rounds: int) -> dict[str, Any]:
    """Seconds per image, and the largest difference between our features and the plain ones."""

    def cold(workers: int | str) -> np.ndarray:
        with tempfile.TemporaryDirectory(dir=folder) as cache:
            return FeatureExtractor(backbone, cache=cache, workers=workers).extract(photos).values

    warm = FeatureExtractor(backbone, cache=folder / "warm")
    plain = plain_features(backbone, photos)
    error = np.abs(warm.extract(photos).values - plain).max() / np.abs(plain).max()
    # A second extractor, so that the warm cache is opened and checked each time, as in a new process.
    seconds = measuring.interleaved(
        {
            "plain_s_per_image": lambda: plain_features(backbone, photos),
            "cold_s_per_image": lambda: cold("auto"),
            "cold_in_process_s_per_image": lambda: cold(0),
            "warm_s_per_image": lambda: FeatureExtractor(backbone, cache=folder / "warm").extract(photos),
        },
        rounds,
    )
    result = {name: value / len(photos) for name, value in seconds.items()}
    result["cold_ratio"] = result["plain_s_per_image"] / result["cold_s_per_image"]
    result["warm_ratio"] = result["plain_s_per_image"] / result["warm_s_per_image"]
    result["max_relative_error"] = float(error)
    return result


def measure_views(backbone: Backbone, photos: list[Path], rounds: int) -> dict[str, float]:
    """Seconds per image, all its views together: cut the plain way, cut our way, cut and encoded."""
    loading = FeatureExtractor(Nothing(backbone), cache=None, workers=0)
    seconds = measuring.interleaved(
        {
            "plain_view_transforms_s_per_image": lambda: plain_views(backbone, photos),
            "view_transforms_s_per_image": lambda: loading.views(photos, VIEWS, seed=1),
            "encoded_views_s_per_image": lambda: FeatureExtractor(backbone, cache=None).views(photos, VIEWS, seed=1),
        },
        rounds,
    )
    return {name: value / len(photos) for name, value in seconds.items()}


def encoder_alone(backbone: Backbone, rounds: int) -> dict[str, float]:
    """Seconds per image of one batch: as the extractor gives it, with channels first, and under no_grad."""
    size = backbone.image.size
    pixels = torch.randint(0, 256, (BATCH, size, size, 3), dtype=torch.uint8)
    channels_last = normalise(pixels, backbone.image)
    channels_first = channels_last.contiguous()

    def encode(batch: torch.Tensor, mode: Callable[[], Any]) -> None:
        with mode():
            backbone.encode_images(batch)

    seconds = measuring.interleaved(
        {
            "encoder_s_per_image": lambda: encode(channels_last, torch.inference_mode),
            "encoder_channels_first_s_per_image": lambda: encode(channels_first, torch.inference_mode),
            "encoder_no_grad_s_per_image": lambda: encode(channels_last, torch.no_grad),
        },
        4 * rounds,
    )
    return {name: value / BATCH for name, value in seconds.items()}


def many_files(folder: Path, count: int, rounds: int) -> float:
    """Seconds to find the features of so many small files again."""
    backbone = backbone_of("mini-like")
    pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    paths = [folder / f"{number:05}.bmp" for number in range(count)]
    for path, image in zip(paths, pixels, strict=True):
        Image.fromarray(image).save(path)
    time.sleep(2.1)  # until the files have settled, and their content is remembered by their times
    encoder = Nothing(backbone)
    FeatureExtractor(encoder, cache=folder / "cache").extract(paths)
    again = {"warm": lambda: FeatureExtractor(encoder, cache=folder / "cache").extract(paths)}
    return measuring.interleaved(again, rounds)["warm"]


def main() -> None:
    """Measure, print one table, and write the same figures as JSON."""
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--model", default="mini", help="mini, mini-like or an OpenCLIP architecture (random weights)")
    options.add_argument("--images", type=int, default=1000)
    options.add_argument("--width", type=int, default=500)
    options.add_argument("--height", type=int, default=375)
    options.add_argument("--files", type=int, default=10_000, help="of the warm run over many small files")
    arguments = options.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = write_photos(folder, arguments.images, arguments.width, arguments.height)
        backbone = backbone_of(arguments.model)
        figures = measure(backbone, photos, folder, arguments.rounds)
        (folder / "many").mkdir()
        figures |= measure_views(backbone, photos[:VIEWED], arguments.rounds)
        figures |= encoder_alone(backbone, arguments.rounds)
        figures["warm_many_files_s"] = many_files(folder / "many", arguments.files, arguments.rounds)
    figures |= {name: getattr(arguments, name) for name in ("images", "width", "height", "files")}
    measuring.report(f"Image features, {arguments.model}", figures, arguments.json)


if __name__ == "__main__":
    main()
