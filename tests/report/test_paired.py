from __future__ import annotations

from statistics import fmean

import pytest
from scipy import stats

from tests.report.conftest import make_few_shot_records, make_record
from vlprompt.report.paired import paired_differences, worth_showing


@pytest.fixture(scope="module")
def difference(records):
    (found,) = [
        one for one in paired_differences(records) if (one.first, one.second, one.test) == ("cocoop", "coop", "new")
    ]
    return found


def accuracies(records, method):
    return {(r.dataset.name, r.seed): r.results["new"].accuracy for r in records if r.method.label == method}


def test_the_interval_over_seeds_is_that_of_a_paired_t_test(records, difference):
    first, second = (accuracies(records, method) for method in ("cocoop", "coop"))
    datasets = {name for name, _ in first}
    by_seed = [[fmean(one[d, seed] for d in datasets) for seed in (1, 2, 3)] for one in (first, second)]
    interval = stats.ttest_rel(*by_seed).confidence_interval(0.95)
    assert difference.over_seeds.low == pytest.approx(interval.low)
    assert difference.over_seeds.high == pytest.approx(interval.high)


def test_the_interval_over_data_sets_is_that_of_a_paired_t_test(records, difference):
    first, second = (accuracies(records, method) for method in ("cocoop", "coop"))
    datasets = sorted({name for name, _ in first})
    by_set = [[fmean(one[d, seed] for seed in (1, 2, 3)) for d in datasets] for one in (first, second)]
    interval = stats.ttest_rel(*by_set).confidence_interval(0.95)
    assert difference.over_datasets.low == pytest.approx(interval.low)
    assert difference.over_datasets.high == pytest.approx(interval.high)
    assert difference.datasets == 6


def test_only_data_sets_that_both_methods_have_count():
    records = [make_record("a", "coop", 1, 80, 70), make_record("b", "coop", 1, 10, 10)]
    records += [make_record("a", "cocoop", 1, 81, 72)]
    (base, new) = paired_differences(records)
    assert (base.datasets, base.over_seeds.mean, new.over_seeds.mean) == (1, pytest.approx(1), pytest.approx(2))
    assert base.over_seeds.half_width is base.over_datasets.half_width is None  # one seed, one data set


def test_methods_without_a_data_set_in_common_have_no_difference():
    assert paired_differences([make_record("a", "coop", 1, 80, 70), make_record("b", "cocoop", 1, 81, 72)]) == []


def test_of_many_methods_each_is_shown_against_the_best_with_most_shots():
    records = make_few_shot_records(tests=("test",))
    shown = worth_showing(records, paired_differences(records))
    assert {one.shots for one in shown} == {16}
    best = set.intersection(*({one.first, one.second} for one in shown))
    assert len(best) == 1
    assert len(shown) == 5


def test_of_few_methods_all_pairs_are_shown(records):
    assert len(worth_showing(records, paired_differences(records))) == 3 * 2
