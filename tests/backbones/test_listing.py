"""What the list of backbones says, and what a model says that needs a package which is not installed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import open_clip
import pytest

from tests.tools.tool_modules import tool
from vlprompt.backbones import list_backbones, listed_backbones, listing, load_backbone
from vlprompt.errors import BackboneError


@pytest.fixture
def without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "find_spec", lambda name: None)


def test_every_name_of_the_list_has_its_facts() -> None:
    listed = listed_backbones()
    assert [entry.name for entry in listed] == list_backbones()
    facts = {entry.name: entry for entry in listed}
    assert facts["mini"].here
    assert (facts["mini"].image_size, facts["mini"].parameters, facts["mini"].needs) == (64, 8378137, "")
    assert (facts["ViT-L-14-336/openai"].image_size, facts["ViT-L-14-336/openai"].needs) == (336, "")
    for name in ("ViT-B-16-SigLIP/webli", "ViT-L-14-CLIPA/datacomp1b", "nllb-clip-base/v1"):
        assert facts[name].needs == "vlprompt[hf]"
    # Only text towers of the transformers package are not counted.
    uncounted = {name.partition("/")[0] for name, entry in facts.items() if entry.parameters is None}
    foreign = {name for name in open_clip.list_models() if "hf_model_name" in _text(name)}
    assert uncounted == foreign & {name.partition("/")[0] for name in facts}


def _text(architecture: str) -> dict[str, Any]:
    return open_clip.get_model_config(architecture)["text_cfg"]


@pytest.mark.parametrize("architecture", ["RN50", "ViT-B-16", "coca_ViT-B-32", "convnext_base", "PE-Core-T-16-384"])
def test_the_counted_parameters_are_those_of_the_architecture(architecture: str) -> None:
    count = tool("count_parameters").count_parameters
    assert listing.parameters_of(architecture) == count(architecture)


def test_weights_that_an_earlier_download_left_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = "timm/vit_base_patch16_clip_224.openai/"
    monkeypatch.setattr(listing, "cached_file", lambda config: "x" if config.get("hf_hub") == repository else None)
    here = {entry.name for entry in listed_backbones() if entry.here}
    assert here == {"mini", "ViT-B-16/openai", "ViT-B-16-quickgelu/openai"}


@pytest.mark.usefixtures("without_transformers")
@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("ViT-B-16-SigLIP/webli", "tokenizer"),
        ("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "text tower and tokenizer"),
    ],
)
def test_a_model_that_needs_the_extra_names_it(name: str, what: str) -> None:
    with pytest.raises(BackboneError, match=rf"the transformers package for its {what},.*pip install 'vlprompt\[hf\]'"):
        load_backbone(name)


@pytest.mark.usefixtures("without_transformers")
def test_a_folder_or_file_that_needs_the_extra_names_it_too(tmp_path: Path) -> None:
    config = {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {"hf_tokenizer_name": "bert-base-uncased"}}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    (tmp_path / "weights.safetensors").write_bytes(b"")
    for name in (str(tmp_path), f"ViT-L-14-CLIPA/datacomp1b@{tmp_path / 'weights.safetensors'}"):
        with pytest.raises(BackboneError, match=r"pip install 'vlprompt\[hf\]'"):
            load_backbone(name)


@pytest.mark.usefixtures("no_network")
@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="needs the transformers package")
def test_with_the_extra_the_weights_are_what_is_missing() -> None:
    with pytest.raises(BackboneError, match="the weights of ViT-B-16-SigLIP/webli are not on this machine"):
        load_backbone("ViT-B-16-SigLIP/webli")
