from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from vlprompt.backbones import Backbone, list_backbones, load_backbone
from vlprompt.backbones.backbone import LISTS_KEPT
from vlprompt.errors import BackboneError, BackboneWarning, SettingsError, UnknownNameError

CONFIG = {
    "model_cfg": {
        "embed_dim": 64,
        "quick_gelu": True,
        "vision_cfg": {"layers": 1, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "interpolation": "bilinear"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder in OpenCLIP's format."""
    model = open_clip.model.CLIP(**CONFIG["model_cfg"])
    (tmp_path / "open_clip_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    save_file(
        {key: value.contiguous() for key, value in model.state_dict().items()}, tmp_path / "open_clip_model.safetensors"
    )
    return tmp_path


def test_a_local_folder_loads_frozen_and_in_evaluation_mode(folder: Path) -> None:
    backbone = load_backbone(str(folder))
    assert not backbone.model.training
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert (backbone.feature_size, backbone.token_width) == (64, 32)
    assert backbone.image.interpolation == "bilinear"
    assert backbone.image.mean == (0.5, 0.5, 0.5)
    assert backbone.text.quick_gelu
    assert backbone.encode_images(torch.zeros(2, 3, 32, 32)).shape == (2, 64)


def test_texts_are_encoded_once_and_what_is_given_out_is_nobody_elses(folder: Path, monkeypatch) -> None:
    backbone, passes = load_backbone(str(folder)), []
    encode = backbone.model.encode_text
    tower = replace(backbone.text, encode_tokens=lambda ids: passes.append(len(ids)) or encode(ids))
    backbone = replace(backbone, text=tower)
    lists = [backbone.tokenizer([f"a photo of {number} cats"] * 70) for number in range(LISTS_KEPT + 1)]
    with torch.inference_mode():
        first = backbone.encode_texts(lists[0])
    torch.testing.assert_close(first, encode(lists[0]))
    backbone.encode_texts(lists[0]).zero_()
    assert torch.equal(backbone.encode_texts(lists[0]), first)
    assert passes == [64, 6]
    for some in lists[1:]:
        backbone.encode_texts(some)
    assert len(backbone._kept_texts) == LISTS_KEPT
    backbone.encode_texts(lists[0])  # the oldest had to go
    assert passes == [64, 6] * (LISTS_KEPT + 2)


def test_the_fingerprint_follows_the_weights(folder: Path) -> None:
    before = load_backbone(str(folder))
    assert load_backbone(str(folder)).fingerprint == before.fingerprint
    state = {key: value.contiguous() for key, value in before.model.state_dict().items()}
    state["ln_final.bias"][0] += 1e-6
    save_file(state, folder / "open_clip_model.safetensors")
    assert load_backbone(str(folder)).fingerprint != before.fingerprint


def test_the_bundled_model_is_listed_first() -> None:
    names = list_backbones()
    assert names[0] == "mini"
    assert {"ViT-B-16/openai", "RN50/openai", "ViT-B-32/laion2b_s34b_b79k"} <= set(names)


@pytest.mark.parametrize(
    ("name", "meant"), [("ViT-B16/openai", "ViT-B-16/openai"), ("ViT-B-16/opena", "ViT-B-16/openai"), ("mnii", "mini")]
)
def test_a_wrong_name_suggests_the_nearest(name: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=meant):
        load_backbone(name)


@pytest.mark.usefixtures("no_network")
def test_without_a_network_one_sentence_names_the_local_way() -> None:
    with pytest.raises(
        BackboneError, match=r"cannot be downloaded \(there is no network\).*ViT-B-16/openai@path/to"
    ) as error:
        load_backbone("ViT-B-16/openai")
    assert "\n" not in str(error.value)


def test_weights_from_a_file_get_the_quickgelu_that_their_tag_needs(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        model = open_clip.create_model("RN50")
    path = tmp_path / "weights.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    assert load_backbone(f"RN50/openai@{path}").text.quick_gelu
    with pytest.warns(BackboneWarning, match="say RN50/openai@"):
        assert not load_backbone(f"RN50@{path}").text.quick_gelu


@pytest.mark.parametrize(
    ("break_it", "complaint"),
    [
        (lambda folder: (folder / "open_clip_config.json").unlink(), "open_clip_config.json is missing"),
        (lambda folder: (folder / "open_clip_config.json").write_text("{"), "is not valid JSON"),
        (lambda folder: (folder / "open_clip_config.json").write_text("{}"), "has no 'model_cfg'"),
        (lambda folder: (folder / "open_clip_model.safetensors").unlink(), "has no weights"),
        (lambda folder: (folder / "open_clip_model.safetensors").write_bytes(b"cut short"), "cannot be loaded"),
    ],
)
def test_a_broken_folder_is_refused_in_one_sentence(folder: Path, break_it, complaint: str) -> None:
    break_it(folder)
    with pytest.raises(BackboneError, match=complaint) as error:
        load_backbone(str(folder))
    assert "\n" not in str(error.value)


def test_a_folder_cannot_have_its_tokenizer_run_code(folder: Path) -> None:
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["tokenizer_kwargs"] = {"clean": "lower", "trust_remote_code": True}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match="the option 'trust_remote_code'; of a model folder's only"):
        load_backbone(str(folder))


def test_a_lone_file_asks_for_its_architecture(folder: Path) -> None:
    with pytest.raises(BackboneError, match="name its architecture too, for instance ViT-B-16@"):
        load_backbone(str(folder / "open_clip_model.safetensors"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="there is no file .*nothing.pt"):
        load_backbone(f"ViT-B-16@{tmp_path / 'nothing.pt'}")


def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"")
    with pytest.raises(BackboneError, match="cannot be loaded"):
        load_backbone(f"RN50/openai@{path}")


def test_half_precision_needs_cuda(tiny_backbone: Backbone) -> None:
    with pytest.raises(SettingsError, match="needs a CUDA device"):
        load_backbone("mini", device="cpu", precision="bf16")


@pytest.mark.parametrize("device", ["warp", "mps", "meta", "cuda:99", "cpu:7"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(SettingsError, match="device"):
        load_backbone("mini", device=device)


def test_the_fingerprint_follows_what_the_weights_do_not_show(folder: Path) -> None:
    before = load_backbone(str(folder)).fingerprint
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["vision_cfg"]["head_width"] = 16
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    assert load_backbone(str(folder)).fingerprint != before


def test_openais_own_archives_load(tmp_path: Path) -> None:
    class Archived(torch.nn.Module):
        """Holds an RN50 state dict as OpenAI's TorchScript archives do, with three integers beside it."""

        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            for name, module in model.named_children():
                self.add_module(name, module)
            for name, parameter in model.named_parameters(recurse=False):
                self.register_parameter(name, parameter)
            for name in ("input_resolution", "context_length", "vocab_size"):
                self.register_buffer(name, torch.tensor(1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.visual(images)

    with torch.random.fork_rng():
        model = open_clip.create_model("RN50", force_quick_gelu=True).eval()
    path = tmp_path / "RN50.pt"
    torch.jit.trace(Archived(model), torch.zeros(1, 3, 224, 224)).save(str(path))
    loaded = load_backbone(f"RN50/openai@{path}")
    images = torch.randn(1, 3, 224, 224)
    torch.testing.assert_close(loaded.encode_images(images), model.encode_image(images), rtol=1e-4, atol=1e-5)


def test_weights_without_a_tag_take_the_preprocessing_that_all_tags_share(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"")
    with pytest.raises(BackboneError, match="several kinds of preprocessing; say which"):
        load_backbone(f"ViT-L-14@{path}")
