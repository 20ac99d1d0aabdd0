from __future__ import annotations

from dataclasses import replace

import pytest

from tests.protocols.conftest import coloured, without_training
from vlprompt.errors import DataError, SettingsError
from vlprompt.experiments import Plan
from vlprompt.protocols import CROSS_DATASET
from vlprompt.protocols.cross_dataset import PUBLISHED_TARGETS

FRUIT = coloured("fruit", ["apple", "pear", "plum"])
PETS = coloured("pets", ["cat", "dog"], seed=2, template="a drawing of a {}.")
TOOLS = without_training(coloured("tools", ["saw", "axe", "nail", "file"], seed=3))


def test_the_first_data_set_is_trained_on_and_all_are_tested_by_their_own_names(benchmark) -> None:
    zero_shot, coop = benchmark(CROSS_DATASET, [FRUIT, PETS, TOOLS], ["zero-shot", "coop"])
    for record in (zero_shot, coop):
        assert record.dataset.name == "fruit"
        assert {test: result.total for test, result in record.results.items()} == {"fruit": 6, "pets": 4, "tools": 8}
        assert record.dataset.classes["tools"] == ("saw", "axe", "nail", "file")
        assert list(record.dataset.targets) == ["pets", "tools"]
        assert record.dataset.targets["pets"].template == "a drawing of a {}."


def test_a_target_is_named_as_if_it_were_the_only_data_set(benchmark, tiny_backbone) -> None:
    from vlprompt import PromptClassifier

    (record,) = benchmark(CROSS_DATASET, [FRUIT, PETS], ["zero-shot"])
    alone = PromptClassifier(method="zero-shot", backbone=tiny_backbone, cache=None).fit(PETS)
    guesses = alone.predict([sample.image for sample in PETS.test])
    assert [record.dataset.classes["pets"][label] for label in record.results["pets"].predictions] == list(guesses)


def test_a_target_that_changed_makes_another_run(benchmark) -> None:
    benchmark(CROSS_DATASET, [FRUIT, PETS], ["zero-shot"])
    assert len(benchmark(CROSS_DATASET, [FRUIT, PETS], ["zero-shot"])) == 1
    with pytest.raises(SettingsError, match="pets's template"):
        benchmark(CROSS_DATASET, [FRUIT, replace(PETS, template="a {}.")], ["zero-shot"])


def test_one_data_set_leaves_nothing_to_test_on(benchmark) -> None:
    with pytest.raises(DataError, match="trains on fruit and has nothing else to test on; give more data sets"):
        benchmark(CROSS_DATASET, [FRUIT], ["zero-shot"])


@pytest.mark.parametrize("method", ["gda", "auto"])
def test_methods_that_name_only_trained_classes_are_refused(benchmark, method) -> None:
    with pytest.raises(SettingsError, match="cross-dataset tests on classes without any"):
        benchmark(CROSS_DATASET, [FRUIT, PETS], [method])


def test_imagenet_alone_brings_the_ten_data_sets_of_the_paper() -> None:
    assert Plan(CROSS_DATASET, ("imagenet",)).datasets == ("imagenet", *PUBLISHED_TARGETS)
    assert Plan(CROSS_DATASET, ("imagenet", "dtd")).datasets == ("imagenet", "dtd")


def test_the_average_is_over_the_others() -> None:
    assert CROSS_DATASET.columns({"fruit": 90.0, "pets": 60.0, "tools": 70.0})["average"] == 65.0
