from __future__ import annotations

from dataclasses import replace
from statistics import stdev

import pytest

from vlprompt.errors import SettingsError
from vlprompt.report.few_shot import kind_of, mean_regret, summarize_few_shot


def test_a_figure_is_the_mean_over_data_sets_of_the_means_over_seeds(few_shot_record_of):
    records = [
        few_shot_record_of(dataset, "gda", 4, seed, {"test": accuracy})
        for dataset, values in {"a": (80, 90), "b": (60, 64, 68)}.items()
        for seed, accuracy in enumerate(values, 1)
    ]
    figure = summarize_few_shot(records).averages["test", "gda", 4]
    assert figure.mean.mean == pytest.approx((85 + 64) / 2)
    assert figure.mean.count == 2  # seeds 1 and 2 are on both
    assert figure.deviation == pytest.approx(stdev([85, 64]))


def test_a_method_that_learns_nothing_is_the_same_at_every_number_of_shots(few_shot_records_of):
    summary = summarize_few_shot(few_shot_records_of())
    assert summary.shots == (1, 2, 4, 8, 16)
    assert len({summary.averages["test", "zero-shot", shots].mean for shots in summary.shots}) == 1


def test_averages_are_over_the_data_sets_that_every_method_has_at_every_number_of_shots(few_shot_records_of):
    records = few_shot_records_of()
    partly = [r for r in records if (r.method.label, r.dataset.name) != ("cocoop", "emoji-food")]
    summary = summarize_few_shot(partly)
    assert summary.averaged["test"] == ("emoji-animals", "emoji-travel")
    assert ("emoji-food", "test", "gda", 16) in summary.cells
    assert ("emoji-food", "test", "cocoop", 16) not in summary.cells


def test_methods_without_a_common_data_set_have_no_averages_but_their_own_figures(few_shot_record_of):
    records = [
        few_shot_record_of("a", "gda", 4, 1, {"test": 80}),
        few_shot_record_of("b", "coop", 4, 1, {"test": 70}),
    ]
    summary = summarize_few_shot(records)
    assert summary.averages == {}
    assert summary.cells["a", "test", "gda", 4].mean.mean == 80


def test_a_test_that_only_some_data_sets_have_is_averaged_over_those(few_shot_record_of):
    records = [
        few_shot_record_of("a", "gda", 4, 1, {"test": 80, "3d": 70}),
        few_shot_record_of("b", "gda", 4, 1, {"test": 90}),
    ]
    summary = summarize_few_shot(records)
    assert (summary.averaged["test"], summary.averaged["3d"]) == (("a", "b"), ("a",))


def test_what_a_method_is_comes_from_its_record(few_shot_record_of):
    kinds = {m: kind_of(few_shot_record_of("a", m, 1, 1, {})) for m in ("zero-shot", "coop", "gda", "auto")}
    assert kinds == {"zero-shot": "zero-shot", "coop": "prompt", "gda": "head", "auto": "auto"}


def test_the_leaders_are_the_best_and_those_that_do_not_clearly_differ_without_auto(few_shot_record_of):
    of_datasets = {"coop": (80, 82, 81), "gda": (90, 92, 91), "lp++": (92, 89, 91), "auto": (99, 99, 99)}
    records = [
        few_shot_record_of(dataset, method, 16, 1, {"test": accuracy})
        for method, accuracies in of_datasets.items()
        for dataset, accuracy in zip("abc", accuracies, strict=True)
    ]
    assert summarize_few_shot(records).leaders("test", 16) == ["gda", "lp++"]


def test_with_one_seed_of_one_data_set_no_method_is_clearly_ahead(few_shot_records_of):
    summary = summarize_few_shot(few_shot_records_of(datasets=("food",), seeds=(1,)))
    assert not summary.is_clear("test", 16, "gda", "zero-shot")


def test_regret_is_the_best_member_of_a_data_set_and_seed_minus_auto(few_shot_record_of):
    values = {1: {"gda": 90, "lp++": 92, "auto": 91}, 2: {"gda": 95, "lp++": 90, "auto": 95}}
    records = [
        few_shot_record_of("a", method, 4, seed, {"test": accuracy})
        for seed, by_method in values.items()
        for method, accuracy in by_method.items()
    ]
    summary = summarize_few_shot(records)
    assert summary.regrets["test", 4] == pytest.approx((1, 0))
    assert mean_regret(summary, "test") == pytest.approx((0.5, 1))
    assert mean_regret(summarize_few_shot([r for r in records if r.method.label != "auto"]), "test") is None


def test_results_of_other_pictures_cannot_share_a_table(few_shot_record_of):
    first, second = (few_shot_record_of("a", "gda", shots, 1, {"test": 90}) for shots in (1, 2))
    changed = replace(second, dataset=replace(second.dataset, fingerprint="e" * 16))
    with pytest.raises(SettingsError, match="results of data set a were made with different settings"):
        summarize_few_shot([first, changed])


def test_no_records_are_a_clear_error():
    with pytest.raises(SettingsError, match="no result records"):
        summarize_few_shot([])
