"""Where the time of a CoCoOp step goes: the written-out pass, autograd's, and what bounds both, in one run.

    python speed/roofline.py --classes 50 --batch 1 --json roofline.json

    forward, backward   of the written-out pass ("segments") and of the one that autograd writes, with their memory
    operations          what the mathematics needs, at the rate of a large square product (sgemm)
    weights             all weights read once each way, at the rate at which a matrix-vector product reads them
    products            the step's own matrix products, recorded and run again in their order with nothing between:
                        same shapes and layouts, and each weight comes from memory as it does in the step
    overhead            a tower 1/32 as wide without its products: Python, dispatch and threads, hardly any arithmetic
    passes              the bytes that all other operations of the step move (norms, softmax, activations, copies), at
                        the rate of copies that stay in cache
    rest                what is left of the step after products and overhead

Random weights of the true shapes. `bound` is the larger of operations and weights: no step can be faster. `limit` is
products + passes + overhead: no step made of these calls can be faster, however they are arranged. Both are printed
beside what is `reached`, as shares of sgemm's rate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import measuring
import open_clip
import torch
from recording import recorded
from torch import Tensor
from torch.nn import functional as F
from training_step import class_names, random_backbone, useful_operations

from vlprompt.backbones import Backbone, ImagePreprocessing, freeze
from vlprompt.methods import build_method
from vlprompt.text_engine.blocks import FrozenBlock

NARROW = 32

COPIED, COPIES = 1 << 16, 100
"""Numbers of a copy: 256 KiB, as the hidden states of 128 rows; and how often."""


def narrow_backbone(wide: Backbone) -> Backbone:
    """A tower of the same layers and heads, 1/32 as wide."""
    text, width = wide.text, max(wide.text.heads, wide.token_width // NARROW)
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 32, "patch_size": 32}
    shape = {"width": width, "heads": text.heads, "layers": len(text.blocks)}
    model = open_clip.model.CLIP(32, vision, {"context_length": 77, "vocab_size": 49408} | shape)
    image = ImagePreprocessing(size=32, mean=(0.5,) * 3, std=(0.25,) * 3)
    return freeze(model, name="narrow", preprocessing=image, tokenizer=wide.tokenizer, device=torch.device("cpu"))


class Step:
    """Forward and backward of a CoCoOp step, timed apart by running backward on a graph that is kept."""

    def __init__(self, backbone: Backbone, names: list[str], batch: int, engine: str) -> None:
        self.method = build_method("cocoop", backbone, names, options={"engine": engine})
        self.encode = self.method.engine_for(
            per_class=False
        )  # lays out classes and weights, which is no part of a step
        generator = torch.Generator().manual_seed(0)
        self.features = F.normalize(torch.randn(batch, backbone.feature_size, generator=generator), dim=-1)
        self.labels = torch.randint(0, len(names), (batch,), generator=generator)
        self.loss: Tensor | None = None

    def forward(self) -> None:
        self.loss = F.cross_entropy(self.method(self.features).logits, self.labels)

    def backward(self) -> None:
        assert self.loss is not None
        self.method.zero_grad(set_to_none=True)
        self.loss.backward()

    def __call__(self) -> None:
        self.forward()
        self.backward()


def weights_of(blocks: list[FrozenBlock]) -> list[Tensor]:
    """The weights of one way."""
    names = ("in_forward", "out_forward", "fc_forward", "proj_forward")
    return [getattr(block, name) for block in blocks for name in names]


def reading(weights: list[Tensor]) -> Callable[[], None]:
    """All weights read once, by matrix-vector products."""
    vectors = {len(weight): torch.randn(1, len(weight)) for weight in weights}

    def run() -> None:
        for weight in weights:
            torch.mm(vectors[len(weight)], weight)

    return run


def copying() -> Callable[[], Any]:
    """Copies of numbers that stay in cache: as many bytes read as written."""
    source, target = torch.randn(COPIED), torch.empty(COPIED)

    def run() -> None:
        for _ in range(COPIES):
            target.copy_(source)

    return run


def measure(architecture: str, classes: int, batch: int, rounds: int, clock: str) -> dict[str, Any]:
    backbone, names = random_backbone(architecture), class_names(classes)
    steps = {engine: Step(backbone, names, batch, engine) for engine in ("segments", "autograd")}
    narrow = Step(narrow_backbone(backbone), names, batch, "segments")
    figures: dict[str, Any] = {"classes": classes, "batch": batch}
    for engine, step in steps.items():
        step.encode._plan(batch, True)
        figures[f"{engine}_peak_bytes"] = measuring.peak_bytes(step)
    encode = steps["segments"].encode
    (group,) = encode._plan(batch, True)[0].groups
    figures["rows"], figures["ends"] = batch * len(group.tiles.sources), batch * len(group.tiles.ends)
    weights = weights_of(encode.blocks)
    wide, thin = recorded(steps["segments"]), recorded(narrow)
    ways: dict[str, Callable[[], Any]] = {}
    for engine, step in steps.items():
        ways |= {f"{engine}_forward_s": step.forward, f"{engine}_backward_s": step.backward}
    ways |= {
        "products_s": wide.run_products,
        "narrow_s": narrow,
        "narrow_products_s": thin.run_products,
        "copy_s": copying(),
        "weights_once_s": reading(weights),
        "sgemm_s": measuring.sgemm(),
    }
    figures |= measuring.interleaved(ways, rounds, clock)
    figures["copied_bytes"] = COPIES * 2 * 4 * COPIED
    figures["pass_bytes"] = wide.pass_bytes
    figures["weight_bytes"] = 2 * sum(weight.numel() * weight.element_size() for weight in weights)
    figures["useful_flops"] = useful_operations(backbone, steps["segments"].method.prompts, batch)
    return figures | derived(figures)


def derived(figures: dict[str, Any]) -> dict[str, Any]:
    """What follows from the measured figures."""
    rate = measuring.sgemm_operations() / figures["sgemm_s"]
    operations, weights = figures["useful_flops"] / rate, 2 * figures["weights_once_s"]
    step = figures["segments_forward_s"] + figures["segments_backward_s"]
    autograd = figures["autograd_forward_s"] + figures["autograd_backward_s"]
    bound = max(operations, weights)
    passes = figures["pass_bytes"] * figures["copy_s"] / figures["copied_bytes"]
    overhead = max(0.0, figures["narrow_s"] - figures["narrow_products_s"])
    limit = figures["products_s"] + passes + overhead
    return {
        "sgemm_flops_per_s": rate,
        "weights_bytes_per_s": figures["weight_bytes"] / weights,
        "operations_s": operations,
        "weights_s": weights,
        "segments_s": step,
        "passes_s": passes,
        "overhead_s": overhead,
        "limit_s": limit,
        "rest_s": step - figures["products_s"] - overhead,
        "limit": operations / limit,
        "reached": operations / step,
        "reached_of_limit": limit / step,
        "fraction_of_bound": bound / step,
        "fraction_of_sgemm_in_products": operations / figures["products_s"],
        "autograd_ratio": autograd / step,
        "autograd_memory_ratio": figures["autograd_peak_bytes"] / max(1, figures["segments_peak_bytes"]),
    }


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--model", default="ViT-B-16")
    options.add_argument("--classes", type=int, default=50)
    options.add_argument("--batch", type=int, default=1)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    figures = measure(chosen.model, chosen.classes, chosen.batch, chosen.rounds, chosen.clock)
    title = f"Roofline of a CoCoOp step, {chosen.model}, {chosen.classes} classes, {chosen.threads} threads"
    measuring.report(title, figures | {"clock": chosen.clock}, chosen.json)


if __name__ == "__main__":
    main()
