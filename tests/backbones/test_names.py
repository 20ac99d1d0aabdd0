"""Other packages' spellings of a backbone are understood, or answered with ours."""

from __future__ import annotations

from pathlib import Path

import open_clip
import pytest

from vlprompt.backbones import load_backbone
from vlprompt.backbones.names import listed_names, our_name
from vlprompt.errors import BackboneError, SettingsError


@pytest.mark.parametrize(
    ("written", "ours"),
    [
        ("ViT-B/16", "ViT-B-16/openai"),
        ("ViT-B/32", "ViT-B-32/openai"),
        ("ViT-L/14", "ViT-L-14/openai"),
        ("ViT-L/14@336px", "ViT-L-14-336/openai"),
        ("RN50", "RN50/openai"),
        ("RN50x4", "RN50x4/openai"),
        ("RN50x64", "RN50x64/openai"),
        ("ViT-B/16/openai", "ViT-B-16/openai"),
        ("ViT-B/16@weights.safetensors", "ViT-B-16@weights.safetensors"),
        ("ViT-B-16,openai", "ViT-B-16/openai"),
        ("ViT-B-16, laion2b_s34b_b88k", "ViT-B-16/laion2b_s34b_b88k"),
        ("ViT-B-16:openai", "ViT-B-16/openai"),
        ("openai/clip-vit-base-patch16", "ViT-B-16/openai"),
        ("openai/clip-vit-base-patch32", "ViT-B-32/openai"),
        ("openai/clip-vit-large-patch14", "ViT-L-14/openai"),
        ("openai/clip-vit-large-patch14-336", "ViT-L-14-336/openai"),
        ("hf-hub:openai/clip-vit-base-patch16", "ViT-B-16/openai"),
        ("hf-hub:laion/CLIP-ViT-B-16-laion2B-s34B-b88K", "ViT-B-16/laion2b_s34b_b88k"),
        ("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "ViT-B-32/laion2b_s34b_b79k"),
        ("timm/ViT-B-16-SigLIP", "ViT-B-16-SigLIP/webli"),
        ("google/siglip-base-patch16-224", "ViT-B-16-SigLIP/webli"),
        ("google/siglip-so400m-patch14-384", "ViT-SO400M-14-SigLIP-384/webli"),
        ("google/siglip-base-patch16-256-multilingual", "ViT-B-16-SigLIP-i18n-256/webli"),
        ("google/siglip2-giant-opt-patch16-256", "ViT-gopt-16-SigLIP2-256/webli"),
        ("https://huggingface.co/openai/clip-vit-base-patch16", "ViT-B-16/openai"),
        ("https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/tree/main", "ViT-B-32/laion2b_s34b_b79k"),
        ("huggingface.co/timm/ViT-B-16-SigLIP", "ViT-B-16-SigLIP/webli"),
        ("ViT-B-16,openai@weights.pt", "ViT-B-16/openai@weights.pt"),
        ("local-dir:some/folder", "./some/folder"),
        ("local-dir:/some/folder", "/some/folder"),
        ("local-dir:mini", "./mini"),
        ("mini", "mini"),
    ],
)
def test_another_packages_spelling_is_understood(written: str, ours: str) -> None:
    assert our_name(written) == ours


def test_our_own_names_stay_as_they_are() -> None:
    assert [our_name(name) for name in listed_names()] == listed_names()


def test_every_repository_of_the_list_is_understood_and_has_the_same_weights() -> None:
    def repository(name: str) -> str:
        return open_clip.pretrained.get_pretrained_cfg(*name.split("/"))["hf_hub"].rstrip("/")

    # An address with a file in it is no repository's name.
    repositories = [repository(name) for name in listed_names() if repository(name).count("/") == 1]
    assert len(repositories) > 150
    assert all(repository(our_name(f"hf-hub:{name}")) == name for name in repositories)


def test_a_folder_on_the_disk_comes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "openai" / "clip-vit-base-patch16").mkdir(parents=True)
    assert our_name("openai/clip-vit-base-patch16") == "openai/clip-vit-base-patch16"
    (tmp_path / "openai" / "clip-vit-base-patch16" / "config.json").write_text("{}")
    with pytest.raises(BackboneError, match="folder of the transformers package, whose models are not read"):
        load_backbone("openai/clip-vit-base-patch16")


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("ViT-B-16", r"an architecture without its weights; say which: ViT-B-16/openai, .* and 9 others, or a file"),
        ("ViT-B-16-quickgelu", r"say which: ViT-B-16-quickgelu/openai, .*ViT-B-16-quickgelu@path/to"),
        ("ViT-S-16", r"has no published weights; name a file of weights as ViT-S-16@path/to"),
        ("hf-hub:someone/their-clip", r"'hf-hub:someone/their-clip' is a repository .*name the folder"),
        ("local-dir:", "local-dir: names no folder"),
    ],
)
def test_what_cannot_be_meant_is_answered_with_what_to_write(written: str, answer: str) -> None:
    with pytest.raises(BackboneError, match=answer):
        load_backbone(written)


@pytest.mark.usefixtures("no_network")
def test_a_message_about_a_model_names_both_spellings() -> None:
    with pytest.raises(BackboneError, match=r"openai/clip-vit-base-patch16 is ViT-B-16/openai here: the weights of"):
        load_backbone("openai/clip-vit-base-patch16")


def test_openclips_word_for_a_folder_loads_it() -> None:
    folder = Path(str(open_clip.__file__)).parent  # any folder that is there
    with pytest.raises(BackboneError, match=f"{folder} here: .*open_clip_config.json is missing"):
        load_backbone(f"local-dir:{folder}")


def test_a_path_is_a_folder_or_file_and_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackboneError, match=r"there is no folder or file \./mini"):
        load_backbone(Path("mini"))


@pytest.mark.parametrize("name", [None, 5, b"mini", ["mini"]])
def test_what_is_no_name_of_a_backbone_is_refused(name: object) -> None:
    with pytest.raises(SettingsError, match="it must be a name of vlprompt list backbones, a path, or a Backbone"):
        load_backbone(name)  # type: ignore[arg-type]


def test_an_architecture_with_an_empty_path_names_no_file() -> None:
    with pytest.raises(BackboneError, match="'ViT-B-16@' names no file"):
        load_backbone("ViT-B-16@")


@pytest.mark.parametrize("option", [{"device": None}, {"precision": None}])
def test_none_is_no_device_and_no_precision(option: dict[str, None]) -> None:
    with pytest.raises(SettingsError, match="None"):
        load_backbone("mini", **option)  # type: ignore[arg-type]
