"""One step of MaPLe, which runs both towers with gradients, beside one of CoCoOp, which runs the text tower alone.

    python speed/pixel_step.py --model ViT-B-16 --classes 50 --batch 4 --json pixel_step.json

Random weights of the true shapes stand in for the real ones. CoCoOp's images are features that were computed before;
`encode_s` is what encoding a batch takes, once an image and view. Published batches are of 4 for MaPLe and of 1 for
CoCoOp; here both have the same.
"""

from __future__ import annotations

from typing import Any

import measuring
import torch
from torch import Tensor
from training_step import class_names, random_backbone

from vlprompt.methods import build_method
from vlprompt.methods.method import Method
from vlprompt.process.allocator import keep_freed_memory


def step(method: Method, inputs: Tensor, labels: Tensor) -> None:
    method.zero_grad(set_to_none=True)
    method.loss(method(inputs), labels).backward()


def measure(architecture: str, classes: int, batch: int, rounds: int) -> dict[str, Any]:
    """Time, processor time and peak memory of a step of each; what differs most is the image tower."""
    backbone, names = random_backbone(architecture), class_names(classes)
    maple, cocoop = (build_method(name, backbone, names) for name in ("maple", "cocoop"))
    text_alone = build_method("maple", backbone, names, options={"image_prompts": False})
    pixels = torch.randn(batch, 3, backbone.image.size, backbone.image.size)
    labels = torch.randint(0, classes, (batch,))
    features = backbone.encode_images(pixels)
    ways = {
        "maple": lambda: step(maple, pixels, labels),
        "maple_text_alone": lambda: step(text_alone, pixels, labels),
        "cocoop": lambda: step(cocoop, features, labels),
        "encode": lambda: backbone.encode_images(pixels),
    }
    figures: dict[str, Any] = {"classes": classes, "batch": batch, "depth": maple.options.depth}
    # The memory first: afterwards freed memory is kept, as in training.
    figures |= {f"{name}_peak_bytes": measuring.peak_bytes(way) for name, way in ways.items()}
    keep_freed_memory()
    for clock, unit in (("wall", "s"), ("processor", "processor_s")):
        seconds = measuring.interleaved(ways, rounds, clock)
        figures |= {f"{name}_{unit}": taken for name, taken in seconds.items()}
    figures["maple_to_cocoop"] = figures["maple_s"] / figures["cocoop_s"]
    figures["maple_to_cocoop_processor"] = figures["maple_processor_s"] / figures["cocoop_processor_s"]
    figures["maple_to_cocoop_memory"] = figures["maple_peak_bytes"] / figures["cocoop_peak_bytes"]
    return figures


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--model", default="ViT-B-16")
    options.add_argument("--classes", type=int, default=50)
    options.add_argument("--batch", type=int, default=4)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    figures = measure(chosen.model, chosen.classes, chosen.batch, chosen.rounds)
    title = f"MaPLe step, {chosen.model}, {chosen.classes} classes, batch {chosen.batch}, {chosen.threads} threads"
    measuring.report(title, figures, chosen.json)


if __name__ == "__main__":
    main()
