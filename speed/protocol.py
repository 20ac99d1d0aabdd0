"""The whole base-to-new protocol with CoCoOp on one bundled data set: ours against the plain way.

    python speed/protocol.py --dataset emoji-animals --json protocol.json

Ours is the command that users run, with an empty feature cache: 3 seeds, 16 shots, the published recipe (10 epochs, one
image a step), tested on both halves, one process a core. The plain way is the same protocol as published code does it:
in every epoch each image is opened, augmented and encoded again, every step and every test image runs whole 77-token
sequences of all classes. It is measured on some of its steps and test images and scaled to all, both as published (one
process on all threads, seed after seed) and as ours runs (one thread a process, seeds side by side, as if they did not
slow each other down); the faster of the two counts.
"""

from __future__ import annotations

import cProfile
import math
import pstats
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import measuring
import torch
from plain_way import evaluation_transform, training_transform
from torch.nn import functional as F

from vlprompt.backbones import Backbone, load_backbone
from vlprompt.data.catalogue import load_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.images import open_image
from vlprompt.data.samples import Sample
from vlprompt.data.splits import select_half
from vlprompt.experiments.plan import MethodRun, Plan
from vlprompt.experiments.queue import run
from vlprompt.methods import build_method
from vlprompt.methods.method import Method
from vlprompt.protocols import BASE_TO_NEW

SEEDS, SHOTS, EPOCHS = (1, 2, 3), 16, 10


def ours(dataset: str, workers: int) -> float:
    """Seconds of the whole protocol, one process a core as the command has it."""
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(BASE_TO_NEW, datasets=(dataset,), methods=(MethodRun("cocoop"),), shots=SHOTS, seeds=SEEDS)
        start = time.perf_counter()
        run(plan, Path(folder) / "out", workers=workers, progress=False, cache=Path(folder) / "cache")
        return time.perf_counter() - start


def plain(dataset_name: str, steps: int, images: int, threads: int) -> dict[str, Any]:
    """Seconds of one seed the plain way, scaled from some steps and test images."""
    torch.set_num_threads(threads)
    dataset = load_dataset(dataset_name)
    backbone = load_backbone("mini", device="cpu")
    base, new = select_half(dataset, "base"), select_half(dataset, "new")
    shots = list(sample_few_shot(base.train, (), SHOTS, 1)[0])
    method = build_method("cocoop", backbone, base.class_names, options={"engine": "plain"})
    _seconds_per_step(method, backbone, shots[:2])  # to warm up
    step_s = _seconds_per_step(method, backbone, shots[:steps])
    test_s = [_seconds_per_test(method, base.test[:images])]
    test_s.append(_seconds_per_test(method.with_class_names(new.class_names), new.test[:images]))
    seconds = EPOCHS * len(shots) * step_s + len(base.test) * test_s[0] + len(new.test) * test_s[1]
    return {"seed_s": seconds, "plain_s_per_step": step_s, "plain_s_per_test_image": sum(test_s) / 2}


def plain_both_ways(dataset: str, steps: int, images: int, threads: int) -> dict[str, Any]:
    """Seconds of all seeds, one after another on all threads and side by side on one thread each."""
    together, alone = (plain(dataset, steps, images, count) for count in (threads, 1))
    torch.set_num_threads(threads)
    one_by_one = len(SEEDS) * together.pop("seed_s")
    side_by_side = math.ceil(len(SEEDS) / threads) * alone["seed_s"]
    return {
        "plain_s": min(one_by_one, side_by_side),
        "plain_one_by_one_s": one_by_one,
        "plain_side_by_side_s": side_by_side,
        **together,
    }


def _seconds_per_step(method: torch.nn.Module, backbone: Backbone, samples: list[Sample]) -> float:
    transform = training_transform(backbone.image)
    optimiser = torch.optim.SGD(method.parameters(), lr=1e-5, momentum=0.9, weight_decay=5e-4)
    start = time.perf_counter()
    for sample in samples:
        features = backbone.encode_images(transform(open_image(sample.image))[None])
        optimiser.zero_grad()
        F.cross_entropy(method(features).logits, torch.tensor([sample.label])).backward()
        optimiser.step()
    return (time.perf_counter() - start) / len(samples)


@torch.no_grad()
def _seconds_per_test(method: Method, samples: tuple[Sample, ...]) -> float:
    backbone = method.backbone
    transform = evaluation_transform(backbone.image)
    start = time.perf_counter()
    for sample in samples:
        method(backbone.encode_images(transform(open_image(sample.image))[None]))
    return (time.perf_counter() - start) / len(samples)


def shares(dataset: str) -> dict[str, float]:
    """Where the time of one process goes, by a profile: prompts forward and backward, image features, SGD."""
    profile = cProfile.Profile()
    profile.runcall(ours, dataset, 1)
    stats: Any = pstats.Stats(profile)
    inside = dict.fromkeys(("share_in_engine", "share_in_features", "share_in_sgd"), 0.0)
    for (path, _, name), (_, _, _, cumulative, _) in stats.stats.items():
        if (path.endswith("methods/method.py") and name in ("forward", "predict_logits")) or "'run_backward'" in name:
            inside["share_in_engine"] += cumulative
        elif path.endswith("features/extraction.py") and name in ("extract", "views"):
            inside["share_in_features"] += cumulative
        elif "_fused_sgd_" in name:
            inside["share_in_sgd"] += cumulative
    return {name: seconds / stats.total_tt for name, seconds in inside.items()}


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--dataset", default="emoji-animals")
    options.add_argument("--plain-steps", type=int, default=40)
    options.add_argument("--plain-images", type=int, default=20)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    rounds = []
    for _ in range(chosen.rounds):
        plainly = plain_both_ways(chosen.dataset, chosen.plain_steps, chosen.plain_images, chosen.threads)
        rounds.append({"ours_s": ours(chosen.dataset, chosen.threads), **plainly})
    figures: dict[str, Any] = {name: statistics.median(row[name] for row in rounds) for name in rounds[0]}
    figures["ratio"] = figures["plain_s"] / figures["ours_s"]
    figures |= shares(chosen.dataset)
    measuring.report(f"Base-to-new with CoCoOp, 3 seeds, mini, {chosen.dataset}", figures, chosen.json)


if __name__ == "__main__":
    main()
