"""Models whose text tower or tokenizer is of the transformers package, made here with random weights and few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from open_clip.model import CLIP, CustomTextCLIP
from safetensors.torch import save_file

from vlprompt.backbones import Backbone, load_backbone
from vlprompt.errors import BackboneError, DataError, SettingsError
from vlprompt.methods import build_method

transformers = pytest.importorskip("transformers")

VISION = {"layers": 1, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32}
WORDS = ["a", "photo", "of", "the", "red", "fox", "owl", "x", "X", "c", "++", "#", ".", "Y", "y"]
NARROW = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def save_tokenizer(folder: Path, begin: str | None, end: str = "</s>", padding: str = "<pad>") -> None:
    """A token a word, with the special tokens in the order in which XLM-R has them."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    special = list(dict.fromkeys([begin or "<s>", padding, end, "<unk>"]))
    vocabulary = {token: number for number, token in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("contiguous")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{begin or ''} $A {end}".strip(), special_tokens=[(token, vocabulary[token]) for token in special]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=padding, eos_token=end, unk_token="<unk>"
    ).save_pretrained(folder)


def save_model(folder: Path, text: dict[str, Any], kind: type = CustomTextCLIP) -> Path:
    config = {"embed_dim": 64, "vision_cfg": VISION, "text_cfg": text}
    if kind is CustomTextCLIP:
        config["custom_text"] = True
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = kind(64, VISION, text | ({"hf_model_pretrained": False} if "hf_model_name" in text else {}))
    state = {name: tensor.contiguous().clone() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    return folder


TOWERS: dict[str, Any] = {
    "xlm-roberta": lambda: (
        transformers.XLMRobertaConfig(vocab_size=40, max_position_embeddings=100, pad_token_id=1, **NARROW),
        {"hf_pooler_type": "mean_pooler"},
    ),
    "roberta": lambda: (
        transformers.RobertaConfig(vocab_size=40, max_position_embeddings=100, pad_token_id=1, **NARROW),
        {"hf_pooler_type": "mean_pooler"},
    ),
    "mt5": lambda: (
        transformers.MT5Config(vocab_size=40, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, pad_token_id=1),
        {"hf_pooler_type": "mean_pooler"},
    ),
    "nllb": lambda: (
        transformers.M2M100Config(
            vocab_size=40,
            d_model=32,
            encoder_layers=2,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=100,
            pad_token_id=1,
        ),
        {"hf_pooler_type": "cls_pooler", "hf_proj_type": "linear"},
    ),
}


@pytest.fixture(params=TOWERS)
def multilingual(request: pytest.FixtureRequest, tmp_path: Path) -> Backbone:
    config, options = TOWERS[request.param]()
    config.save_pretrained(tmp_path / "tower")
    folder = tmp_path / "model"
    folder.mkdir()
    save_tokenizer(folder, None if request.param == "mt5" else "<s>")
    text = {"hf_model_name": str(tmp_path / "tower"), "hf_tokenizer_name": "here"} | options
    return load_backbone(str(save_model(folder, text)))


def test_a_multilingual_text_tower_takes_the_plain_path_with_its_own_features(multilingual: Backbone) -> None:
    method = build_method("coop", multilingual, ["red fox", "owl"], options={"context_init": "a photo of a"})
    features = method.class_features(torch.zeros(1, multilingual.feature_size))[0]
    ids = multilingual.tokenizer(["a photo of a red fox.", "a photo of a owl."])
    torch.testing.assert_close(features, multilingual.model.encode_text(ids), rtol=0, atol=2e-7)
    features.sum().backward()
    assert float(method.context_vectors.grad.abs().min()) > 0
    with pytest.raises(SettingsError, match="text model of the transformers package"):
        build_method("coop", multilingual, ["fox", "owl"], options={"engine": "segments"})


def test_a_multilingual_models_fingerprint_follows_its_configuration(multilingual: Backbone) -> None:
    again = load_backbone(multilingual.name)
    assert again.fingerprint == multilingual.fingerprint
    tower = json.loads((Path(multilingual.name) / "open_clip_config.json").read_text())["model_cfg"]["text_cfg"]
    path = Path(tower["hf_model_name"]) / "config.json"
    config = json.loads(path.read_text())
    changed = next(name for name in ("hidden_act", "feed_forward_proj", "activation_function") if name in config)
    path.write_text(json.dumps(config | {changed: "relu" if config[changed] != "relu" else "gelu"}))
    assert load_backbone(multilingual.name).fingerprint != multilingual.fingerprint


SIGLIP = {
    "context_length": 16,
    "vocab_size": 40,
    "width": 64,
    "heads": 2,
    "layers": 2,
    "hf_tokenizer_name": "here",
    "tokenizer_kwargs": {"clean": "canonicalize"},
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}


def test_a_tokenizer_in_siglips_way_loads_from_a_folder_and_makes_c_plus_plus_and_c_sharp_one(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, None)
    backbone = load_backbone(str(save_model(tmp_path, SIGLIP)))
    ids = backbone.tokenizer(["a photo of a red fox.", "a photo of a owl."])
    method = build_method("coop", backbone, ["red fox", "owl"], options={"context_init": "a photo of a"})
    with torch.no_grad():
        features = method.class_features(torch.zeros(1, 64))[0]
        torch.testing.assert_close(features, backbone.model.encode_text(ids), rtol=0, atol=2e-7)
    with pytest.raises(DataError, match=r"'C\+\+' and 'C#' are one prompt"):
        build_method("coop", backbone, ["C++", "C#"])


def test_a_causal_tower_with_a_tokenizer_of_its_own_takes_the_segments_path(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, "<s>")
    text = {name: SIGLIP[name] for name in ("context_length", "vocab_size", "width", "heads", "layers")}
    text |= {"hf_tokenizer_name": "here", "pool_type": "eos", "eos_id": 2}
    backbone = load_backbone(str(save_model(tmp_path, text, CLIP)))
    method = build_method(
        "coop", backbone, ["red fox", "owl"], options={"context_init": "a photo of a", "engine": "segments"}
    )
    expected = backbone.model.encode_text(backbone.tokenizer(["a photo of a red fox.", "a photo of a owl."]))
    torch.testing.assert_close(method.class_features(torch.zeros(1, 64))[0], expected, rtol=1e-5, atol=1e-6)


def test_a_tokenizer_that_is_not_here_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="the tokenizer of .* is not on this machine"):
        load_backbone(str(save_model(tmp_path, SIGLIP)))
