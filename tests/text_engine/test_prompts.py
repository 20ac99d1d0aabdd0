from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tiny_models import tiny_siglip
from vlprompt.backbones import Backbone
from vlprompt.errors import DataError, SettingsError, UnknownNameError
from vlprompt.text_engine import PlainEngine, SegmentsEngine, build_prompts, text_engine, words_of
from vlprompt.text_engine.prompts import tokenize


def test_underscores_become_spaces() -> None:
    assert words_of("golden_retriever") == "golden retriever"


def test_a_prompt_is_tokenised_as_published_with_an_x_for_every_context_vector(tiny_backbone: Backbone) -> None:
    prompts = build_prompts(tiny_backbone, ["golden_retriever"], 4)
    assert torch.equal(prompts.token_ids, tiny_backbone.tokenizer(["X X X X golden retriever."]))
    assert prompts.ends == (9,)


@pytest.mark.parametrize(("position", "order"), [("end", "SvvvvnnE"), ("middle", "SvvnnvvE"), ("front", "SnnvvvvE")])
def test_the_class_name_stands_where_the_position_says(tiny_backbone: Backbone, position: str, order: str) -> None:
    prompts = build_prompts(tiny_backbone, ["golden retriever"], 4, position)
    seen = "".join(
        "v" if source < 4 else {4: "S", 9: "n", 10: "n"}.get(int(source), "E") for source in prompts.sources[0, :8]
    )
    assert seen == order


@given(
    st.lists(st.text(min_size=1, max_size=12).filter(lambda text: text.strip()), min_size=1, max_size=3),
    st.integers(1, 8),
)
@settings(max_examples=40, deadline=None)
def test_every_token_and_every_context_vector_stands_once_in_each_prompt(
    tiny_backbone: Backbone, names: list[str], length: int
) -> None:
    for position in ("end", "middle", "front"):
        prompts = build_prompts(tiny_backbone, names, length, position)
        whole = [*range(length), length, *range(2 * length + 1, length + 77)]
        assert all(sorted(row.tolist()) == whole for row in prompts.sources)


def test_a_name_beyond_the_token_limit_is_refused_with_its_class(tiny_backbone: Backbone) -> None:
    with pytest.raises(DataError, match="class 'dog dog .* tokens, and this backbone takes 77"):
        build_prompts(tiny_backbone, ["cat", "dog " * 80], 4)


def test_a_name_up_to_the_token_limit_is_encoded(tiny_backbone: Backbone) -> None:
    prompts = build_prompts(tiny_backbone, ["dog " * 70], 4)
    assert prompts.ends == (77,)
    context = torch.randn(1, 1, 4, tiny_backbone.token_width)
    torch.testing.assert_close(
        SegmentsEngine(tiny_backbone, prompts)(context),
        PlainEngine(tiny_backbone, prompts)(context),
        rtol=1e-4,
        atol=1e-4,
    )


def test_what_the_tokenizer_ends_a_text_with_is_refused_within_one(tiny_backbone: Backbone) -> None:
    texts = ["a photo of a cat.", "<end_of_text> a photo of a dog."]
    with pytest.raises(
        DataError, match="class 'dog' has a sign in it with which this backbone's tokenizer ends a text"
    ):
        tokenize(tiny_backbone, texts, ["cat", "dog"])
    assert tokenize(tiny_backbone, texts[:1], ["cat"]).shape == (1, 77)


def test_an_unknown_position_names_the_known_ones(tiny_backbone: Backbone) -> None:
    with pytest.raises(UnknownNameError, match="did you mean middle"):
        build_prompts(tiny_backbone, ["cat"], 4, "midle")


def test_a_causal_tower_takes_the_segments_path(tiny_backbone: Backbone) -> None:
    assert isinstance(text_engine(tiny_backbone, build_prompts(tiny_backbone, ["cat"], 2)), SegmentsEngine)


def test_a_tower_in_siglips_structure_takes_the_plain_path_by_itself() -> None:
    backbone = tiny_siglip()
    prompts = build_prompts(backbone, ["cat", "red fox"], 2)
    engine = text_engine(backbone, prompts)
    assert isinstance(engine, PlainEngine)
    words = backbone.embed_tokens(prompts.token_ids[0, 1:3])[None, None]
    torch.testing.assert_close(engine(words)[0], backbone.model.encode_text(prompts.token_ids))
    with pytest.raises(SettingsError, match="not causal"):
        text_engine(backbone, prompts, engine="segments")


def test_the_plain_path_with_words_as_context_is_the_towers_own_encode_text(tiny_backbone: Backbone) -> None:
    prompts = build_prompts(tiny_backbone, ["cat", "red fox"], 4)
    words = tiny_backbone.embed_tokens(prompts.token_ids[0, 1:5])[None, None]
    expected = tiny_backbone.model.encode_text(prompts.token_ids)
    torch.testing.assert_close(PlainEngine(tiny_backbone, prompts)(words)[0], expected)


@pytest.mark.parametrize("memory", [0, -1, True, "2GB", 1.5])
def test_memory_must_be_a_number_of_bytes(tiny_backbone: Backbone, memory: Any) -> None:
    with pytest.raises(SettingsError, match=f"memory is {memory!r}"):
        text_engine(tiny_backbone, build_prompts(tiny_backbone, ["cat"], 2), memory=memory)


@pytest.mark.parametrize(("limit", "budget"), [("4000\n", 1000), ("max\n", None), (None, None)])
def test_a_containers_limit_is_its_memory(
    tiny_backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str | None, budget: int | None
) -> None:
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    # The package's name text_engine is the function.
    monkeypatch.setattr(sys.modules["vlprompt.text_engine.engine"], "CONTAINER_LIMIT", file)
    engine = text_engine(tiny_backbone, build_prompts(tiny_backbone, ["cat"], 2))
    assert isinstance(engine, SegmentsEngine)
    assert engine.memory == (budget or psutil.virtual_memory().total // 4)
