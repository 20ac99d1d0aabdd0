"""Held to what the published implementation printed (tests/reference), in fp32 on a CPU.

Tolerances: the reference's own rounding is fp32 at a logit scale of 100, so logits may differ by 1e-3 and gradients by
1e-4 relative; both engines stay well inside.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional as F

from tests.tiny_models import PREPROCESSING
from vlprompt.backbones import Backbone, freeze
from vlprompt.methods import build_method
from vlprompt.methods.method import Method

FOLDER = Path(__file__).parent.parent / "reference"
FACTS = json.loads((FOLDER / "reference_numbers.json").read_text(encoding="utf-8"))
NUMBERS = np.load(FOLDER / "reference_numbers.npz", allow_pickle=False)
CASES = list(FACTS["cases"])
LABELS = torch.tensor(FACTS["labels"])

LOGIT_TOLERANCE = 1e-3
GRADIENT_TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    """The tiny OpenAI-format CLIP of the reference run, its weights drawn by the rule in the reference's README."""
    arch = FACTS["arch"]
    vision = {
        "layers": arch["vision_layers"],
        "width": arch["vision_width"],
        "head_width": 64,
        "patch_size": arch["vision_patch_size"],
        "image_size": arch["image_resolution"],
    }
    text = {
        "context_length": arch["context_length"],
        "vocab_size": arch["vocab_size"],
        "width": arch["transformer_width"],
        "heads": arch["transformer_heads"],
        "layers": arch["transformer_layers"],
    }
    model = CLIP(arch["embed_dim"], vision, text, quick_gelu=True)
    state = model.state_dict()
    assert sorted(state) == FACTS["keys_sorted"]
    model.load_state_dict({key: _weight(n, key, state[key].shape) for n, key in enumerate(FACTS["keys_sorted"])})
    return freeze(
        model,
        name="reference",
        preprocessing=PREPROCESSING,
        tokenizer=open_clip.SimpleTokenizer(),
        device=torch.device("cpu"),
    )


def _weight(n: int, key: str, shape: torch.Size) -> Tensor:
    z = np.random.RandomState(n).standard_normal(tuple(shape))
    if key == "logit_scale":
        z = np.array(4.60517)
    elif "ln_" in key and key.endswith("weight"):
        z = 1 + 0.1 * z
    elif key in ("token_embedding.weight", "positional_embedding", "visual.positional_embedding"):
        z = 0.1 * z
    elif len(shape) < 2:
        z = 0.02 * z
    else:
        z = z / np.sqrt(np.prod(shape[1:]))
    return torch.tensor(z.astype(np.float32))


@pytest.fixture(scope="module")
def image_features(backbone: Backbone) -> Tensor:
    images = np.random.RandomState(10000).standard_normal((6, 3, 32, 32)).astype(np.float32)
    return backbone.encode_images(torch.from_numpy(images))


def build(backbone: Backbone, case: str, engine: str) -> Method:
    """The method of a case with the reference's initial parameters."""
    facts = FACTS["cases"][case]
    options = {
        "context_length": facts.get("n", 4),
        "context_init": facts.get("init"),
        "class_specific": facts.get("csc", False),
        "position": facts.get("pos", "end"),
        "engine": engine,
    }
    method = build_method(facts["method"], backbone, FACTS["classnames"], options=options)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            parameter.copy_(reference(case, "init", name))
    return method


def reference(case: str, what: str, name: str = "") -> Tensor:
    key = f"{case}/{what}" + (f"/{name.replace('context_vectors', 'ctx')}" if name else "")
    return torch.from_numpy(NUMBERS[key]).float()


def relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


def largest(ours: Tensor, theirs: Tensor) -> float:
    return float((ours.detach() - theirs).abs().max())


def test_image_features_are_the_published_ones(image_features: Tensor) -> None:
    assert relative(image_features, torch.from_numpy(NUMBERS["image_features"]).float()) < 1e-5


def test_zero_shot_tokens_features_and_logits_are_the_published_ones(
    backbone: Backbone, image_features: Tensor
) -> None:
    method = build_method("zero-shot", backbone, FACTS["classnames"], template="a photo of a {}.")
    texts = [f"a photo of a {name.replace('_', ' ')}." for name in FACTS["classnames"]]
    assert (backbone.tokenizer(texts).numpy() == NUMBERS["zero_shot/tokens"]).all()
    assert (
        relative(method.class_features(image_features)[0], torch.from_numpy(NUMBERS["zero_shot/text_features"]).float())
        < 1e-5
    )
    expected = torch.from_numpy(NUMBERS["zero_shot/logits"]).float()
    assert largest(method(image_features).logits, expected) < LOGIT_TOLERANCE


@pytest.mark.parametrize("case", ["coop_words", "cocoop_words"])
def test_a_context_from_words_starts_as_published(backbone: Backbone, case: str) -> None:
    options = {"context_init": FACTS["cases"][case]["init"]}
    method = build_method(FACTS["cases"][case]["method"], backbone, FACTS["classnames"], options=options)
    assert torch.equal(method.context_vectors.detach(), reference(case, "init", "ctx"))


@pytest.mark.parametrize("engine", ["plain", "segments"])
@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_are_the_published_ones(
    backbone: Backbone, image_features: Tensor, case: str, engine: str
) -> None:
    method = build(backbone, case, engine)
    logits = method(image_features).logits
    assert largest(logits, reference(case, "logits")) < LOGIT_TOLERANCE
    F.cross_entropy(logits, LABELS).backward()
    for name, parameter in method.named_parameters():
        assert relative(parameter.grad, reference(case, "grad", name)) < GRADIENT_TOLERANCE, name


@pytest.mark.parametrize("engine", ["plain", "segments"])
@pytest.mark.parametrize("case", CASES)
def test_three_sgd_steps_are_the_published_ones(
    backbone: Backbone, image_features: Tensor, case: str, engine: str
) -> None:
    method = build(backbone, case, engine)
    optimiser = torch.optim.SGD(method.parameters(), lr=0.002, momentum=0.9, weight_decay=5e-4)
    losses = []
    for _ in range(3):
        optimiser.zero_grad()
        loss = F.cross_entropy(method(image_features).logits, LABELS)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    assert relative(torch.stack(losses), reference(case, "losses")) < 1e-4
    for name, parameter in method.named_parameters():
        assert relative(parameter.detach(), reference(case, "final", name)) < GRADIENT_TOLERANCE, name
    assert largest(method(image_features).logits.detach(), reference(case, "final_logits")) < LOGIT_TOLERANCE
