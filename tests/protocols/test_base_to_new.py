from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError
from vlprompt.experiments.records import hash_settings, write_record
from vlprompt.methods import METHODS
from vlprompt.methods.declarations import declaration
from vlprompt.methods.prompt_learner import PromptOptions
from vlprompt.protocols import BASE_TO_NEW


def _dataset(classes: int) -> Dataset:
    def samples(colour: int) -> tuple[Sample, ...]:
        return tuple(
            Sample(np.full((4, 4, 3), colour + label, np.uint8), label, f"thing {label}") for label in range(classes)
        )

    return Dataset("things", samples(10), (), samples(100))


def test_it_trains_on_the_first_half_rounded_up_and_tests_on_both() -> None:
    dataset = _dataset(5)
    assert BASE_TO_NEW.trained(dataset).class_names == ["thing 0", "thing 1", "thing 2"]
    tests = BASE_TO_NEW.tests(dataset)
    assert {name: part.class_names for name, part in tests.items()} == {
        "base": ["thing 0", "thing 1", "thing 2"],
        "new": ["thing 3", "thing 4"],
        "all": ["thing 0", "thing 1", "thing 2", "thing 3", "thing 4"],
    }
    assert [sample.label for sample in tests["new"].test] == [0, 1]


@pytest.mark.parametrize("name", METHODS)
def test_it_takes_exactly_the_methods_with_open_names_and_says_why(name) -> None:
    method = declaration(name)
    why = BASE_TO_NEW.refusal(method)
    assert (why is None) == method.open_names
    assert why is None or "classes without any" in why


def test_it_refuses_contexts_that_belong_to_classes() -> None:
    assert "class_specific" in str(BASE_TO_NEW.refusal(declaration("coop"), PromptOptions(class_specific=True)))


def test_a_result_without_training_counts_for_its_number_of_shots() -> None:
    assert BASE_TO_NEW.shots_of_untrained(16) == 16


def test_two_classes_are_too_few() -> None:
    with pytest.raises(DataError, match="at least 3"):
        BASE_TO_NEW.check(_dataset(2))


def test_a_record_of_before_the_test_over_all_names_still_counts(benchmark, tmp_path) -> None:
    (record,) = benchmark(BASE_TO_NEW, [_dataset(5)], ["zero-shot"])
    results = {test: result for test, result in record.results.items() if test != "all"}
    classes = {test: names for test, names in record.dataset.classes.items() if test != "all"}
    earlier = replace(record, results=results, dataset=replace(record.dataset, classes=classes))
    assert hash_settings(earlier.settings) == record.settings_hash
    write_record(tmp_path / "out", earlier)
    assert benchmark(BASE_TO_NEW, [_dataset(5)], ["zero-shot"]) == [earlier]


def test_all_pictures_are_named_among_all_names(benchmark) -> None:
    (record,) = benchmark(BASE_TO_NEW, [_dataset(5)], ["zero-shot"])
    assert (record.results["all"].total, record.dataset.classes["all"][4]) == (5, "thing 4")
    assert record.results["all"].correct <= sum(record.results[half].correct for half in ("base", "new"))
