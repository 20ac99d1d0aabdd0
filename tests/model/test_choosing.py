"""Which method `auto` takes."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tests.methods.test_heads import NAMES, pictures
from vlprompt.backbones import Backbone
from vlprompt.methods import build_method
from vlprompt.methods.method import TrainingSet
from vlprompt.model.choosing import CANDIDATES, choose_method, wilson_interval

TEMPLATE = "a photo of a {}."


def test_where_pictures_say_more_than_words_a_head_is_chosen(tiny_backbone: Backbone) -> None:
    choice = choose_method(tiny_backbone, NAMES, TEMPLATE, pictures(6))
    by_name = {trial.method: trial for trial in choice.trials}
    assert list(by_name) == list(CANDIDATES)
    assert choice.method != "zero-shot"
    assert by_name[choice.method].right == max(trial.right for trial in choice.trials)
    assert f"{by_name[choice.method].right} of 18" in choice.why
    assert choice.chance == pytest.approx(100 / 3)


def test_where_the_words_are_as_good_the_simplest_is_chosen(tiny_backbone: Backbone) -> None:
    words = F.normalize(build_method("zero-shot", tiny_backbone, NAMES).weights, dim=-1)
    labels = torch.arange(3).repeat_interleave(5)
    choice = choose_method(tiny_backbone, NAMES, TEMPLATE, TrainingSet(words[labels], labels))
    assert choice.method == "zero-shot"
    assert "and is simpler" in choice.why


@pytest.mark.parametrize("per_class", [1, 2])
def test_with_one_or_two_pictures_a_class_a_fixed_rule_holds_and_says_so(
    tiny_backbone: Backbone, per_class: int
) -> None:
    choice = choose_method(tiny_backbone, NAMES, TEMPLATE, pictures(per_class))
    assert choice.method == "gda"
    assert f"with {per_class}.0 pictures a class, held-out pictures cannot tell" in choice.why
    assert [trial.method for trial in choice.trials] == ([] if per_class == 1 else list(CANDIDATES))


def test_a_choice_is_plain_json_values(tiny_backbone: Backbone) -> None:
    choice = choose_method(tiny_backbone, NAMES, TEMPLATE, pictures(3))
    assert json.loads(json.dumps(choice.as_dict(), allow_nan=False)) == choice.as_dict()


@given(total=st.integers(1, 1000), data=st.data())
def test_the_interval_holds_the_share_and_stays_within_0_and_100(total: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, total))
    low, high = wilson_interval(right, total)
    assert 0 <= low <= 100 * right / total + 1e-9
    assert 100 * right / total - 1e-9 <= high <= 100
    assert low < high


def test_the_interval_is_wilsons() -> None:
    """Of 81 right of 263, as in Newcombe 1998, table I."""
    assert wilson_interval(81, 263) == pytest.approx((25.53, 36.62), abs=0.01)
