from __future__ import annotations

import pytest

from vlprompt.report.headline import headline


def _records(record_of, coop_new, cocoop_new, seeds=(1, 2, 3)):
    made = []
    for dataset in ("a", "b"):
        for seed in seeds:
            noise = 0.1 * seed
            made.append(record_of(dataset, "coop", seed, 80 + noise, coop_new + noise, total=10_000))
            made.append(record_of(dataset, "cocoop", seed, 78 + 2 * noise, cocoop_new - noise, total=10_000))
    return made


def test_a_clear_gain_is_called_better(record_of):
    assert headline(_records(record_of, 60, 65)).title == (
        "CoCoOp is 4.6 points better than CoOp on classes never trained on"
    )


def test_a_clear_loss_is_called_worse(record_of):
    assert "4.4 points worse than CoOp" in headline(_records(record_of, 65, 61)).title


def test_what_chance_could_make_is_not_called_a_difference(record_of):
    assert headline(_records(record_of, 60, 60.3)).title == (
        "CoCoOp and CoOp do not differ clearly on classes never trained on"
    )


def test_a_single_seed_is_said_to_be_one(record_of):
    assert "from a single seed" in headline(_records(record_of, 60, 65, seeds=(1,))).title


def test_the_cost_on_base_classes_is_told_with_the_gain(record_of):
    support = " ".join(headline(_records(record_of, 60, 65)).support)
    assert "ahead on 2 of 2" in support
    assert "−1.8 points" in support


def test_zero_shot_is_told_even_where_it_wins(record_of):
    records = [
        *_records(record_of, 60, 65),
        record_of("a", "zero-shot", 0, 70, 70),
        record_of("b", "zero-shot", 0, 70, 70),
    ]
    support = headline(records).support[-1]
    assert support.startswith("Against zero-shot CLIP, which learns nothing, CoOp is at +10.2 on base and −9.8 on new")


@pytest.mark.parametrize("methods", [("zero-shot",), ("zero-shot", "coop")])
def test_without_both_methods_the_harmonic_mean_is_told(record_of, methods):
    records = [record_of("a", method, 0 if method == "zero-shot" else 1, 80, 70) for method in methods]
    assert "harmonic mean of 74.7" in headline(records).title


def test_methods_without_a_shared_data_set_are_not_compared(record_of):
    records = [record_of("a", "coop", 1, 80, 70), record_of("b", "zero-shot", 0, 80, 70)]
    assert "no data set in common" in headline(records).title
