"""One CoCoOp step, forward and backward: segments against the plain way.

    python speed/training_step.py --model ViT-B-16 --classes 50 --batch 1 --json step.json

Random weights of the true shapes stand in for the real ones, which changes no operation. Up to 50 classes are
Caltech101's base names; more are ImageNet's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import measuring
import open_clip
import torch
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from plain_way import PlainCoCoOp
from torch import Tensor
from torch.nn import functional as F

from vlprompt.backbones import Backbone, ImagePreprocessing, freeze
from vlprompt.methods import build_method
from vlprompt.methods.cocoop import CoCoOp
from vlprompt.text_engine import Prompts

CALTECH = Path(__file__).parent.parent / "tests" / "reference" / "classnames.json"


def random_backbone(architecture: str, *, quick_gelu: bool = True) -> Backbone:
    """An OpenCLIP architecture with random weights (the vision tower is built but never run here)."""
    torch.manual_seed(0)
    model = open_clip.create_model(architecture, force_quick_gelu=quick_gelu)
    preprocessing = ImagePreprocessing(size=224, mean=(0.5,) * 3, std=(0.25,) * 3)
    tokenizer = open_clip.get_tokenizer(architecture)
    return freeze(
        model, name=architecture, preprocessing=preprocessing, tokenizer=tokenizer, device=torch.device("cpu")
    )


def class_names(count: int) -> list[str]:
    """Caltech101's first names up to 50, ImageNet's beyond."""
    caltech: list[str] = json.loads(CALTECH.read_text(encoding="utf-8"))["caltech101_first_50"]
    return caltech[:count] if count <= len(caltech) else IMAGENET_CLASSNAMES[:count]


def useful_operations(backbone: Backbone, prompts: Prompts, images: int) -> int:
    """Floating-point operations of one step that the mathematics needs: real tokens only, forward and backward.

    A multiply-add is two operations. Frozen weights need no gradient, so the backward pass of a projection costs as
    much as its forward pass, and that of attention's two products twice as much. [SOS] is a constant; tokens with which
    several names begin count once; the last layer needs keys and values of all tokens, and the rest of [EOS] only.
    """
    width, layers = backbone.token_width, len(backbone.text.blocks)
    context, features = prompts.context_length, backbone.feature_size
    tails = [(*prompts.name_tokens(index), *prompts.closing_tokens(index)) for index in range(len(prompts.ends))]
    beginnings = {tail[:length] for tail in tails for length in range(1, len(tail) + 1)}
    rows, ends = images * (context + len(beginnings)), images * len(set(tails))
    linear = 2 * width * width * (12 * (layers - 1) * rows + 2 * rows + 10 * ends) + 2 * ends * width * features
    pairs = images * sum(1 + number for number in range(1, context + 1))
    pairs += images * sum(1 + context + len(beginning) for beginning in beginnings)
    last = images * sum(1 + context + len(tail) for tail in set(tails))
    attention = 4 * width * ((layers - 1) * pairs + last)
    # The first layer's projections of name tokens are constants in both directions.
    constant = 2 * 3 * width * width * images * len(beginnings)
    return 2 * linear + 3 * attention - 2 * constant


def step(method: torch.nn.Module, features: Tensor, labels: Tensor) -> None:
    method.zero_grad(set_to_none=True)
    F.cross_entropy(logits_of(method, features), labels).backward()


def logits_of(method: torch.nn.Module, features: Tensor) -> Tensor:
    """(B, N) of the plain way, which gives nothing else, or of a method of ours."""
    given = method(features)
    return given if isinstance(given, Tensor) else given.logits


def largest_gradient_error(ours: torch.nn.Module, plain: torch.nn.Module) -> float:
    """Largest relative difference over the learned tensors, which stand in the same order."""
    pairs = zip(ours.parameters(), plain.parameters(), strict=True)
    return max(float((a.grad - b.grad).norm() / b.grad.norm()) for a, b in pairs if b.grad is not None)


def measure(
    architecture: str, classes: int, batch: int, plain_classes: int | None, rounds: int, memory: int | str = "auto"
) -> dict[str, Any]:
    """All figures of one setting; `plain_classes` runs the plain way on fewer classes and scales its time."""
    backbone = random_backbone(architecture)
    names = class_names(classes)
    ours = build_method("cocoop", backbone, names, options={"memory": memory})
    assert isinstance(ours, CoCoOp)
    some = plain_classes or classes
    plain = PlainCoCoOp.like(ours, some)
    features = F.normalize(torch.randn(batch, backbone.feature_size), dim=-1)
    labels = torch.randint(0, some, (batch,))
    figures: dict[str, Any] = {"classes": classes, "batch": batch}
    ways = {"plain": lambda: step(plain, features, labels), "segments": lambda: step(ours, features, labels)}
    figures["segments_predicted_bytes"] = ours.engine_for(per_class=False).predicted_bytes(batch)
    figures["segments_peak_bytes"] = measuring.peak_bytes(ways["segments"])
    figures["plain_peak_bytes"] = measuring.peak_bytes(ways["plain"])
    if some == classes:
        figures["memory_ratio"] = figures["plain_peak_bytes"] / figures["segments_peak_bytes"]
    seconds = measuring.interleaved(ways, rounds)
    scale = classes / some
    figures |= {"plain_s": seconds["plain"] * scale, "segments_s": seconds["segments"]}
    figures["ratio"] = figures["plain_s"] / figures["segments_s"]
    figures["plain_measured_on_classes"] = some
    compared = ours if some == classes else ours.with_class_names(names[:some])
    step(compared, features, labels)
    figures["max_gradient_error"] = largest_gradient_error(compared, plain)
    with torch.no_grad():
        logits, expected = logits_of(compared, features), logits_of(plain, features)
    figures["max_logit_error"] = float((logits - expected).norm() / expected.norm())
    figures["useful_flops"] = useful_operations(backbone, ours.prompts, batch)
    figures["sgemm_flops_per_s"] = measuring.sgemm_rate(rounds)
    figures["fraction_of_sgemm"] = figures["useful_flops"] / figures["segments_s"] / figures["sgemm_flops_per_s"]
    return figures


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--model", default="ViT-B-16")
    options.add_argument("--classes", type=int, default=50)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--plain-classes", type=int, help="run the plain way on these and scale (for many classes)")
    options.add_argument("--memory", type=int, metavar="BYTES", help="bytes for a step of ours")
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    figures = measure(
        chosen.model, chosen.classes, chosen.batch, chosen.plain_classes, chosen.rounds, chosen.memory or "auto"
    )
    title = f"CoCoOp step, {chosen.model}, {chosen.classes} classes, batch {chosen.batch}, {chosen.threads} threads"
    measuring.report(title, figures, chosen.json)


if __name__ == "__main__":
    main()
