"""What `auto` chooses on pictures, and what it says of those that it did not try."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from tests.methods.test_heads import NAMES, pictures
from vlprompt.backbones import Backbone
from vlprompt.methods import METHODS, build_method
from vlprompt.methods.method import TrainingSet
from vlprompt.model import trials
from vlprompt.model.choosing import Choice, Row
from vlprompt.model.trials import Candidates, choose, class_halves

FOUR = ["dog", "cat", "okapi", "owl"]


@pytest.fixture
def candidates(tiny_backbone: Backbone) -> Any:
    def candidates(training_set: TrainingSet, names: list[str] = NAMES, seed: int = 1) -> Candidates:
        return Candidates(tiny_backbone, names, "a photo of a {}.", training_set, seed)

    return candidates


def of_words(backbone: Backbone, names: list[str], per_class: int, noise: float = 0.0) -> TrainingSet:
    """Features that lie where the names' own words do."""
    words = F.normalize(build_method("zero-shot", backbone, names).weights, dim=-1)
    labels = torch.arange(len(names)).repeat_interleave(per_class)
    stream = torch.Generator().manual_seed(0)
    spread = noise * torch.randn(len(labels), words.shape[1], generator=stream)
    return TrainingSet(F.normalize(words[labels] + spread, dim=-1), labels)


def rows_of(choice: Choice) -> dict[str, Row]:
    return {row.method: row for row in choice.rows}


def test_where_pictures_say_more_than_words_a_head_is_chosen_and_no_prompt_is_tried(candidates) -> None:
    choice = choose(candidates(pictures(6)), new_names=False)["pictures"]
    rows = rows_of(choice)
    assert choice.method in trials.HEADS
    assert rows["coop"].note == "not tried: the pictures say more than the words"
    assert set(METHODS) < set(rows)
    assert all(row.accuracy is not None or row.note.startswith("not tried: ") for row in choice.rows)


def test_where_the_words_are_as_good_zero_shot_is_chosen_and_coop_had_its_chance(candidates, tiny_backbone) -> None:
    choice = choose(candidates(of_words(tiny_backbone, NAMES, 4)), new_names=False)["pictures"]
    assert choice.method == "zero-shot"
    assert rows_of(choice)["coop"].total == 12


@pytest.mark.parametrize("per_class", [1, 2])
def test_with_one_or_two_pictures_a_class_a_fixed_rule_holds_and_says_so(candidates, per_class: int) -> None:
    choice = choose(candidates(pictures(per_class)), new_names=False)["pictures"]
    assert choice.method == "blend"
    assert choice.why.startswith(f"with {per_class} picture")
    assert ("no picture can be held out" in choice.why) == (per_class == 1)
    assert rows_of(choice)["zero-shot"].total == 3 * per_class  # it has learned from none


def test_the_same_pictures_and_seed_give_the_same_choice(candidates) -> None:
    first, again = (choose(candidates(pictures(4)), new_names=False)["pictures"] for _ in range(2))
    assert [(row.method, row.right) for row in first.rows] == [(row.method, row.right) for row in again.rows]


def test_a_class_with_a_single_picture_among_others_with_many_is_only_learned_from(candidates) -> None:
    many = pictures(8)
    keep = torch.cat([torch.arange(16), torch.tensor([16])])
    choice = choose(candidates(TrainingSet(many.features[keep], many.labels[keep])), new_names=False)["pictures"]
    assert rows_of(choice)["gda"].total == 16
    assert rows_of(choice)["largest class"].right == 8


def test_two_classes_are_enough(candidates) -> None:
    two = pictures(5)
    keep = two.labels < 2
    chosen = choose(candidates(TrainingSet(two.features[keep], two.labels[keep]), NAMES[:2]), new_names=False)
    assert rows_of(chosen["pictures"])["chance"].accuracy == 50.0


def test_where_a_class_has_no_picture_only_what_needs_none_is_chosen(candidates, tiny_backbone) -> None:
    four = of_words(tiny_backbone, FOUR, 2)
    choices = choose(candidates(four, [*FOUR, "teapot"]), new_names=False)
    assert list(choices) == ["new_names"]
    assert choices["new_names"].method == "zero-shot"


def test_for_new_names_prompts_are_tried_on_classes_that_they_did_not_learn(candidates, tiny_backbone) -> None:
    choice = choose(candidates(of_words(tiny_backbone, FOUR, 2, 0.02), FOUR), new_names=True)["new_names"]
    rows = rows_of(choice)
    assert [rows[name].total for name in ("zero-shot", "coop", "kgcoop", "cocoop")] == [8, 8, 8, 8]
    assert rows["chance"].accuracy == 50.0  # among two held-out classes
    assert choice.method == "zero-shot"
    assert "pictures of held-out classes" in choice.why


def test_too_few_classes_to_hold_any_out_leave_the_words(candidates) -> None:
    choice = choose(candidates(pictures(4)), new_names=True)["new_names"]
    assert choice.method == "zero-shot"
    assert "3 classes with pictures are too few" in choice.why
    assert rows_of(choice)["cocoop"].note == "not tried: too few classes"


def test_a_prompt_whose_trial_would_take_too_long_is_a_row_that_says_so(candidates, tiny_backbone, monkeypatch) -> None:
    monkeypatch.setattr(trials, "SECONDS", 1e-6)
    choice = choose(candidates(of_words(tiny_backbone, FOUR, 4), FOUR), new_names=True)
    assert "not tried: its trial would take" in rows_of(choice["new_names"])["cocoop"].note
    assert "not tried: its trial would take" in rows_of(choice["pictures"])["coop"].note


@pytest.mark.parametrize("classes", [4, 5, 9])
def test_every_class_is_held_out_once_and_never_learned_then(classes: int) -> None:
    halves = class_halves(list(range(classes)), 1)
    assert sorted(label for _, looked in halves for label in looked) == list(range(classes))
    assert all(not set(known) & set(looked) for known, looked in halves)
    assert class_halves([0, 1, 2], 1) == []


def test_a_head_whose_trial_would_take_too_long_is_a_row_that_says_so(candidates, monkeypatch) -> None:
    monkeypatch.setattr(trials, "STEPS", {"lp++": 10**12})
    rows = rows_of(choose(candidates(pictures(6)), new_names=False)["pictures"])
    assert rows["lp++"].note.startswith("not tried: its trial would take")
    assert rows["gda"].total == 18
