"""Weights and configurations of strangers' backbones: read by one reader of ours, and nothing of them is run."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.backbones.test_openclip import CONFIG
from vlprompt.backbones import load_backbone
from vlprompt.backbones.openclip import list_backbones
from vlprompt.errors import BackboneError, BackboneWarning

PUBLISHED = Path(__file__).parents[1] / "reference/checkpoints/coop-food-seed1.pth.tar-10"


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return open_clip.model.CLIP(**CONFIG["model_cfg"]).state_dict()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder in OpenCLIP's format, still without weights."""
    (tmp_path / "open_clip_config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    return tmp_path


@pytest.fixture
def only_our_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    for loader in ("torch.load", "torch.jit.load", "open_clip.factory.torch.load"):
        monkeypatch.setattr(loader, lambda *_, **__: pytest.fail("torch's own loader was called"))


@pytest.mark.usefixtures("only_our_reader")
@pytest.mark.parametrize("name", ["open_clip_pytorch_model.bin", "model.pth", "weights.pt"])
def test_weights_that_torch_saved_make_the_same_backbone_as_safetensors(
    folder: Path, state: dict[str, torch.Tensor], name: str
) -> None:
    torch.save({"epoch": 3, "state_dict": state}, folder / name)
    saved = load_backbone(str(folder))
    os.remove(folder / name)
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / "open_clip_model.safetensors")
    assert saved.fingerprint == load_backbone(str(folder)).fingerprint


@pytest.mark.usefixtures("only_our_reader")
def test_tied_half_precision_weights_of_several_gpus_are_read(folder: Path, state: dict[str, torch.Tensor]) -> None:
    halves = {f"module.{name}": tensor.half() for name, tensor in state.items()}
    halves["module.ln_final.bias"] = halves["module.ln_final.weight"]
    torch.save(halves, folder / "model.pth")
    loaded = load_backbone(str(folder)).model.state_dict()
    assert torch.equal(loaded["ln_final.bias"], state["ln_final.weight"].half().float())
    assert torch.equal(loaded["visual.conv1.weight"], state["visual.conv1.weight"].half().float())


def test_safetensors_win_over_a_pickle_beside_them(folder: Path, state: dict[str, torch.Tensor]) -> None:
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"no weights")
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / "open_clip_model.safetensors")
    assert load_backbone(str(folder)).feature_size == 64


def test_a_folder_whose_weights_hold_more_than_tensors_is_refused(folder: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), folder / "model.pth")
    with pytest.raises(BackboneError, match=r"model\.pth cannot be read: it asks for 'torch\.nn") as refusal:
        load_backbone(str(folder))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("tokenizer", "named"),
    [
        ({"trust_remote_code": True}, "'trust_remote_code'"),
        ({"clean": "canonicalize", "config": "evil.json"}, "'config'"),
        (["clean"], "'clean'|tokenizer_kwargs"),
    ],
)
def test_a_configuration_that_could_make_the_tokenizer_run_code_is_refused(
    folder: Path, state: dict[str, torch.Tensor], tokenizer: object, named: str
) -> None:
    save_file({key: tensor.contiguous() for key, tensor in state.items()}, folder / "open_clip_model.safetensors")
    text = {**CONFIG["model_cfg"]["text_cfg"], "hf_tokenizer_name": "evil", "tokenizer_kwargs": tokenizer}
    config = {**CONFIG, "model_cfg": {**CONFIG["model_cfg"], "text_cfg": text}}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(BackboneError, match=rf"open_clip_config\.json .*({named})"):
        load_backbone(str(folder))


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"3", b'{"model_cfg": 3}', b" " * 2_000_000])
def test_a_configuration_that_is_none_is_refused_in_one_sentence(folder: Path, content: bytes) -> None:
    (folder / "open_clip_config.json").write_bytes(content)
    with pytest.raises(BackboneError, match=r"open_clip_config\.json") as refusal:
        load_backbone(str(folder))
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("weights", ["pipe", "folder", "endless"])
def test_weights_that_are_no_regular_file_are_none(folder: Path, weights: str) -> None:
    path = folder / "model.pth"
    {"pipe": lambda: os.mkfifo(path), "folder": path.mkdir, "endless": lambda: path.symlink_to("/dev/zero")}[weights]()
    with pytest.raises(BackboneError, match="has no weights"):
        load_backbone(str(folder))


@pytest.mark.parametrize("name", ["{}", "ViT-B-32/openai@{}"])
def test_learned_prompts_as_a_backbone_send_to_convert(name: str, tmp_path: Path) -> None:
    renamed = tmp_path / "weights.pt"
    renamed.write_bytes(PUBLISHED.read_bytes())
    for path in (PUBLISHED, renamed):
        with pytest.raises(BackboneError, match=r"holds learned prompts, not a backbone; `vlprompt convert"):
            load_backbone(name.format(path))


def test_a_folder_that_is_called_like_a_listed_backbone_is_not_taken_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vlprompt.backbones.openclip._from_folder", lambda *_: pytest.fail("it opened the folder"))

    def from_list(name: str) -> None:
        raise LookupError(f"the list's {name}")

    monkeypatch.setattr("vlprompt.backbones.openclip._from_list", from_list)
    name = list_backbones()[5]
    Path(name).mkdir(parents=True)
    with pytest.raises(LookupError, match=name), pytest.warns(BackboneWarning, match=rf"the folder is \./{name}"):
        load_backbone(name)


def test_the_bundled_model_wins_over_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_backbone("mini").fingerprint
    monkeypatch.chdir(tmp_path)
    Path("mini").mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load_backbone("mini").fingerprint == expected
