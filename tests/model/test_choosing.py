"""The rule by which `auto` chooses among trials, and the table that it tells."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.model.choosing import STEADY, Choice, Trial, clearly_better, decide, is_choice, table, why_decided

PICTURES = 40


def trial(method: str, right: int) -> Trial:
    """A trial that names the first pictures right."""
    return Trial(method, torch.arange(PICTURES) < right, 0.5)


def test_the_simplest_wins_where_a_lead_is_luck() -> None:
    chosen = decide([trial("simple", 35), trial("middle", 36), trial("best", 36)])
    assert chosen.method == "simple"


def test_what_clearly_leads_wins_however_complicated() -> None:
    assert decide([trial("simple", 20), trial("best", 36)]).method == "best"


def test_one_picture_more_is_enough_against_the_words_and_a_tie_leaves_them() -> None:
    assert decide([trial("words", 35), trial("head", 36), trial("other", 36)], 0.0).method == "head"
    assert decide([trial("words", 35), trial("head", 35), trial("other", 36)], 0.0).method == "head"
    assert decide([trial("words", 36), trial("head", 36)], 0.0).method == "words"


def test_the_steady_one_is_only_left_for_what_leads_by_three_standard_errors() -> None:
    assert decide([trial("words", 20), trial(STEADY, 30), trial("head", 38)], 0.0).method == STEADY  # 8 < 3 sqrt(8)
    assert decide([trial("words", 20), trial("other", 30), trial("head", 38)], 0.0).method == "head"
    assert decide([trial("words", 10), trial(STEADY, 20), trial("head", 30)], 0.0).method == "head"  # 10 > 3 sqrt(10)


def test_a_lead_counts_less_where_the_two_differ_in_many_pictures() -> None:
    hits = torch.zeros(PICTURES, dtype=torch.bool)
    better, worse = hits.clone(), hits.clone()
    better[:5], worse[5:7] = True, True  # ahead by 3, apart in 7
    assert clearly_better(Trial("a", better), Trial("b", worse))
    worse[7:9] = True  # ahead by 1, apart in 9
    assert not clearly_better(Trial("a", better), Trial("b", worse))


@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=5))
def test_nothing_clearly_beats_what_is_chosen_but_what_beats_all_before_it(rows: list[list[bool]]) -> None:
    trials = [Trial(str(place), torch.tensor(row)) for place, row in enumerate(rows)]
    chosen = decide(trials)
    best = max(trials, key=lambda entry: entry.right)
    assert not clearly_better(best, chosen)
    assert all(clearly_better(best, before) for before in trials[: trials.index(chosen)])


def test_what_was_not_tried_is_never_chosen() -> None:
    assert decide([Trial("left out", note="not tried: slow"), trial("tried", 0)]).method == "tried"


@pytest.mark.parametrize(
    ("trials", "words"),
    [
        ([trial("a", 30), trial("b", 20)], "a names 30 of 40 held-out pictures right, more than any other."),
        ([trial("a", 30), trial("b", 30)], "as b does, and is simpler"),
        (
            [trial("a", 30), trial("b", 31)],
            "b 31, a lead that so many pictures cannot tell from luck, and a is",
        ),
        ([trial("a", 30), Trial("b", note="not tried: slow")], "nothing else was tried"),
        (
            [trial(STEADY, 30), trial("b", 31)],
            "cannot tell from luck, and blend holds better for pictures of another kind.",
        ),
        ([trial(STEADY, 30), trial("b", 30)], "as b does, and holds better for pictures of another kind."),
    ],
)
def test_the_reason_is_a_sentence(trials: list[Trial], words: str) -> None:
    assert words in why_decided(decide(trials), trials)


def test_the_table_begins_with_chance_and_the_largest_class_and_leaves_nothing_out() -> None:
    rows = table([trial("a", 30), Trial("b", note="not tried: slow")], "a", [torch.tensor([30, 6, 4])])
    assert [row.method for row in rows] == ["chance", "largest class", "a", "b"]
    assert [row.accuracy for row in rows] == [pytest.approx(100 / 3, abs=1e-3), 75.0, 75.0, None]
    assert rows[2].low is not None
    assert rows[2].high is not None
    assert rows[2].low < 75.0 < rows[2].high
    assert [row.chosen for row in rows] == [False, False, True, False]
    assert rows[3].note == "not tried: slow"


CHOICE = {"pictures": Choice("a", "why", table([trial("a", 30)], "a", [torch.tensor([20, 20])])).as_dict()}


def test_a_choice_is_plain_json_that_is_known_again() -> None:
    assert is_choice(json.loads(json.dumps(CHOICE, allow_nan=False)))
    assert is_choice({})


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((), []),
        (("else",), {}),
        (("pictures",), "gda"),
        (("pictures", "why"), 3),
        (("pictures", "rows"), {}),
        (("pictures", "rows", 0, "accuracy"), float("nan")),
        (("pictures", "rows", 0, "low"), "0"),
        (("pictures", "rows", 1, "right"), 10**400),
        (("pictures", "rows", 0, "more"), 1),
    ],
)
def test_a_choice_that_was_changed_is_none(place: tuple, value: object) -> None:
    changed = {"it": copy.deepcopy(CHOICE)}
    within: object = changed
    for step in ("it", *place)[:-1]:
        within = within[step]  # type: ignore[index]
    within[("it", *place)[-1]] = value  # type: ignore[index]
    assert not is_choice(changed["it"])
