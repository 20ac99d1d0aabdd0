"""The words follow from the figures: whoever leads is named, heads, prompts or none."""

from __future__ import annotations

import pytest

from vlprompt.report.few_shot import summarize_few_shot
from vlprompt.report.few_shot_words import few_shot_caption, few_shot_headline, serves, setting, test_title

title_of_test = test_title
test_title.__test__ = False  # a function of the package, not a test


@pytest.fixture
def story(few_shot_record_of):
    """The headline of made-up accuracies: by method, by shots, one for each of three data sets or one for all."""

    def tell(of_methods, tests=("test",), seeds=(1,), datasets="abc"):
        records = [
            few_shot_record_of(dataset, method, shots, seed, dict.fromkeys(tests, accuracy + place / 10))
            for method, by_shots in of_methods.items()
            for shots, accuracy in by_shots.items()
            for place, dataset in enumerate(datasets)
            for seed in ((0,) if method == "zero-shot" else seeds)
        ]
        return few_shot_headline(summarize_few_shot(records))

    return tell


def test_if_a_head_leads_the_title_says_so(story):
    title = story({"zero-shot": {0: 70}, "cocoop": {16: 75}, "gda": {16: 95}}).title
    assert title.lower() == "gda is 20.0 points better than cocoop, the best prompt, with 16 pictures of every class"


def test_if_cocoop_leads_the_title_says_so(story):
    title = story({"zero-shot": {0: 70}, "cocoop": {16: 95}, "gda": {16: 75}}).title
    assert title.lower() == "cocoop is 20.0 points better than gda, the best head, with 16 pictures of every class"


def test_if_zero_shot_leads_the_title_says_so(story):
    title = story({"zero-shot": {0: 90}, "cocoop": {16: 80}}).title
    assert title.startswith("Zero-shot CLIP is 10.0 points better than CoCoOp")


def test_the_leader_may_change_with_the_pictures(story):
    support = story({"coop": {1: 60, 2: 70, 4: 80}, "gda": {1: 40, 2: 65, 4: 90}}).support
    assert any("head is ahead of the best prompt with 4 pictures a class" in words for words in support)
    assert any("the best prompt with 1 and 2" in words for words in support)


def test_a_difference_that_data_sets_do_not_agree_on_is_not_clear(few_shot_record_of):
    values = {"coop": (80, 90, 70), "gda": (90, 80, 72)}
    records = [
        few_shot_record_of(dataset, method, 4, 1, {"test": accuracy})
        for method, accuracies in values.items()
        for dataset, accuracy in zip("abc", accuracies, strict=True)
    ]
    assert "do not differ clearly" in few_shot_headline(summarize_few_shot(records)).title


def test_one_seed_of_one_data_set_is_said(story):
    title = story({"coop": {4: 60}, "gda": {4: 70}}, datasets="a").title
    assert title.endswith("from a single seed")


def test_training_that_harms_is_said(story):
    support = story({"zero-shot": {0: 70}, "coop": {1: 60, 4: 80}})
    assert any(words.startswith("Clearly below zero-shot CLIP") and "CoOp" in words for words in support.support)
    assert not any("4" in words for words in support.support if words.startswith("Clearly below"))


def test_other_styles_have_a_sentence_of_their_own_where_they_were_tested(story):
    figures = {"coop": {4: 60}, "gda": {4: 70}}
    assert any(w.startswith("In styles that no training picture") for w in story(figures, ("test", "3d")).support)
    assert not any(w.startswith("In styles that no training picture") for w in story(figures).support)


def test_auto_is_measured_against_the_best_member(story):
    support = story({"coop": {4: 60}, "gda": {4: 90}, "auto": {4: 88}}).support
    assert any("2.0 and 2.0 (test pictures)" in words for words in support)


def test_auto_is_never_what_the_title_is_about(story):
    assert "auto" not in story({"coop": {4: 60}, "gda": {4: 90}, "auto": {4: 99}}).title


def test_the_title_compares_kinds_where_both_were_run(story):
    title = story({"coop": {4: 60}, "gda": {4: 70, 16: 90}}).title
    assert title.endswith("with 4 pictures of every class")


def test_methods_without_a_common_data_set_have_no_headline_yet(few_shot_record_of):
    records = [
        few_shot_record_of("a", "gda", 4, 1, {"test": 80}),
        few_shot_record_of("b", "coop", 4, 1, {"test": 80}),
    ]
    assert few_shot_headline(summarize_few_shot(records)).title == "The methods have no data set in common yet"


def test_who_serves_is_not_clear_where_nobody_can_be_told_apart(few_shot_record_of):
    records = [few_shot_record_of("a", m, 4, 1, {"test": v}) for m, v in (("gda", 80), ("coop", 70))]
    assert serves(summarize_few_shot(records), "test", 4, str) == "gda (not clear)"


def test_the_own_style_is_called_so_only_beside_others(few_shot_records_of):
    assert title_of_test(summarize_few_shot(few_shot_records_of(tests=("test",))), "test") == "test pictures"
    assert title_of_test(summarize_few_shot(few_shot_records_of()), "test") == "own style"


def test_shots_and_seeds_are_counted(few_shot_records_of):
    assert setting(summarize_few_shot(few_shot_records_of())) == "1, 2, 4, 8, 16 shots, 3 seeds"
    assert setting(summarize_few_shot(few_shot_records_of(methods=("zero-shot",)))) == "no shots and no seeds"


def test_methods_with_fewer_seeds_than_others_are_told(few_shot_records_of):
    records = [*few_shot_records_of(methods=("gda",)), *few_shot_records_of(methods=("coop",), seeds=(1,), shots=(4,))]
    summary = summarize_few_shot(records)
    assert setting(summary) == "1, 2, 4, 8, 16 shots, 1 to 3 seeds"
    assert "where there are two seeds or more" in few_shot_caption(summary)
