from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.errors import SettingsError
from vlprompt.report.estimates import estimate
from vlprompt.report.summary import chosen, compare, harmonic_mean, summarize

PUBLISHED = {"CLIP": (69.34, 74.22, 71.70), "CoOp": (82.69, 63.22, 71.66), "CoCoOp": (80.47, 71.69, 75.83)}


@pytest.mark.parametrize("method", PUBLISHED)
def test_the_harmonic_mean_of_the_published_averages_is_the_published_one(method):
    base, new, harmonic = PUBLISHED[method]
    assert harmonic_mean(base, new) == pytest.approx(harmonic, abs=0.006)  # two decimals were printed


def test_the_published_interval_is_of_the_population_deviation():
    values = [91.81, 92.01, 92.17]  # the example log of the published code: 92.00 +- 0.15
    found = estimate(values, "published")
    assert found.mean == pytest.approx(92.00, abs=0.005)
    assert found.half_width == pytest.approx(1.96 * 0.147 / math.sqrt(3), abs=0.002)


def test_students_interval_is_wider_for_few_seeds():
    values = [80.0, 81.0, 82.0]
    assert estimate(values, "student").half_width == pytest.approx(4.303 * 1.0 / math.sqrt(3), abs=0.001)


def test_one_seed_leaves_the_interval_unknown():
    assert estimate([80.0], "student").half_width is None


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8))
def test_the_interval_holds_the_mean(values):
    found = estimate(values, "student")
    assert found.low <= found.mean <= found.high


def test_the_average_harmonic_mean_is_of_the_averages_not_of_the_harmonic_means(record_of):
    records = [record_of("a", "coop", 1, 90, 10, total=1000), record_of("b", "coop", 1, 10, 90, total=1000)]
    assert summarize(records).average["coop"].harmonic.mean == pytest.approx(50)


def test_methods_stand_in_the_papers_order(records):
    assert summarize(records).methods == ("zero-shot", "coop", "cocoop")


def test_the_average_is_over_the_data_sets_that_every_method_has(record_of):
    records = [
        record_of("a", "coop", 1, 90, 80),
        record_of("a", "cocoop", 1, 90, 80),
        record_of("b", "coop", 1, 50, 40),
    ]
    summary = summarize(records)
    assert summary.averaged == ("a",)
    assert summary.average["coop"].base.mean == pytest.approx(90)


def test_a_best_is_named_where_its_interval_lies_above_all_others(record_of):
    records = [record_of("a", "coop", seed, 90 + seed / 9, 70) for seed in (1, 2, 3)]
    records += [record_of("a", "cocoop", seed, 80 + seed / 9, 70) for seed in (1, 2, 3)]
    assert summarize(records).best("a", 0) == "coop"


def test_no_best_is_named_where_intervals_overlap(record_of):
    records = [record_of("a", "coop", seed, 80 + 4 * seed, 70) for seed in (1, 2, 3)]
    records += [record_of("a", "cocoop", seed, 81 + 4 * seed, 70) for seed in (1, 2, 3)]
    assert summarize(records).best("a", 0) is None


def test_no_best_is_named_from_one_seed(record_of):
    records = [record_of("a", "coop", 1, 99, 99), record_of("a", "cocoop", 1, 10, 10)]
    assert summarize(records).best("a", 0) is None


def test_zero_shot_without_chance_can_be_the_best(record_of):
    records = [record_of("a", "coop", seed, 60 + seed / 9, 60) for seed in (1, 2, 3)]
    assert summarize([*records, record_of("a", "zero-shot", 0, 80, 80)]).best("a", 0) == "zero-shot"


def test_differences_are_paired_by_seed(record_of):
    records = [record_of("a", "coop", seed, 70 + 5 * seed, 60, total=1000) for seed in (1, 2, 3)]
    records += [record_of("a", "cocoop", seed, 71 + 5 * seed, 60, total=1000) for seed in (1, 2, 3)]
    comparison = compare(records)
    assert comparison.base["a"].mean == pytest.approx(1)
    assert comparison.base["a"].half_width == pytest.approx(0, abs=1e-9)


def test_zero_shot_is_compared_with_every_seed(record_of):
    records = [record_of("a", "coop", seed, 70, 60) for seed in (1, 2, 3)] + [record_of("a", "zero-shot", 0, 70, 70)]
    comparison = compare(records, "coop", "zero-shot")
    assert comparison.new["a"].mean == pytest.approx(-10)
    assert comparison.new["a"].count == 3


def test_a_comparison_without_both_methods_is_none(record_of):
    assert compare([record_of("a", "coop", 1, 70, 60)]) is None


def test_records_of_two_backbones_do_not_share_a_table(record_of):
    with pytest.raises(SettingsError, match=r"one backbone.*ViT-B-16.*mini"):
        summarize([record_of("a", "coop", 1, 1, 1), record_of("a", "coop", 1, 1, 1, backbone="ViT-B-16/openai")])


def test_no_records_are_a_clear_error():
    with pytest.raises(SettingsError, match="run a benchmark first"):
        summarize([])


@pytest.mark.parametrize(
    ("part", "changes", "says"),
    [
        ("dataset", {"fingerprint": "e" * 16}, r"data set a .*data set's fingerprint is d+ and e+"),
        ("dataset", {"template": "a {}."}, r"data set a .*template is a drawing of a \{\}\. and a \{\}\."),
        ("dataset", {"classes": {"base": ("cat", "cow"), "new": ("owl",)}}, "data set a .*base classes is"),
        ("method", {"options": {"context_length": 8}}, "coop on a .*option context_length is 4 and 8"),
    ],
)
def test_records_of_other_data_or_options_do_not_share_a_table(record_of, part, changes, says):
    first, second = record_of("a", "coop", 1, 80, 70), record_of("a", "coop", 2, 80, 70)
    with pytest.raises(SettingsError, match=says):
        summarize([first, replace(second, **{part: replace(getattr(second, part), **changes)})])


def test_records_of_other_training_settings_do_not_share_a_table(record_of):
    first, second = record_of("a", "coop", 1, 80, 70), record_of("a", "coop", 2, 80, 70)
    seeds = [replace(record, training={**record.training, "seed": record.seed}) for record in (first, second)]
    assert summarize(seeds).seeds == (1, 2)
    with pytest.raises(SettingsError, match="coop on a .*epochs is 200 and 3;"):
        summarize([first, replace(second, training={**second.training, "epochs": 3})])


def test_data_sets_may_differ_in_settings_as_methods_may(record_of):
    first, second = record_of("a", "coop", 1, 80, 70), record_of("b", "coop", 1, 80, 70)
    assert summarize([first, replace(second, dataset=replace(second.dataset, template="a {}."))]).datasets == ("a", "b")


def test_one_of_several_backbones_and_numbers_of_shots_is_chosen(record_of):
    records = [
        record_of("a", "coop", 1, 80, 70, shots=shots, backbone=backbone) for shots in (1, 16) for backbone in "xy"
    ]
    assert chosen(records, shots=None, backbone=None) == records
    assert chosen(records, shots=16, backbone="x") == [records[2]]
    with pytest.raises(SettingsError, match="no results for shots=4; there are some of x with 1 shots"):
        chosen(records, shots=4, backbone=None)


def test_two_results_of_one_run_that_differ_are_refused_and_not_chosen_between(record_of):
    first, second = (record_of("a", "coop", 1, base, 80) for base in (90, 91))
    with pytest.raises(SettingsError, match="two results of coop on a with seed 1 that differ"):
        summarize([first, second])
    assert summarize([first, first]).cells["a", "coop"].base.mean == 90
