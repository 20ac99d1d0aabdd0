from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vlprompt.data.samples import Dataset, Sample
from vlprompt.errors import DataError, SettingsError, UnknownNameError
from vlprompt.experiments import MethodRun, Plan
from vlprompt.experiments.plan import all_methods, load_datasets, runs_of
from vlprompt.experiments.records import BackboneFacts
from vlprompt.protocols import BASE_TO_NEW, FEW_SHOT

BACKBONE = BackboneFacts("tiny", "ab", "fp32", "cpu")


def _dataset(name: str, classes: int = 4) -> Dataset:
    def samples(offset: int) -> tuple[Sample, ...]:
        return tuple(
            Sample(np.full((4, 4, 3), 10 * offset + label, np.uint8), label, f"thing {label}")
            for label in range(classes)
        )

    return Dataset(name, samples(1), (), samples(2))


def _runs(plan: Plan):
    return runs_of(plan, load_datasets(plan), BACKBONE)


def test_a_stopped_benchmark_has_the_first_seed_of_everything_before_the_second():
    plan = Plan(BASE_TO_NEW, datasets=(_dataset("a"), _dataset("b")), seeds=(1, 2))
    names = [run.name for run in _runs(plan)]
    assert names == [
        "a zero-shot", "b zero-shot",
        "a coop 16 shots seed 1", "b coop 16 shots seed 1", "a cocoop 16 shots seed 1", "b cocoop 16 shots seed 1",
        "a coop 16 shots seed 2", "b coop 16 shots seed 2", "a cocoop 16 shots seed 2", "b cocoop 16 shots seed 2",
    ]  # fmt: skip


def test_a_run_takes_the_published_recipe_and_its_seed():
    runs = {run.name: run for run in _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), seeds=(3,)))}
    coop, cocoop = runs["a coop 16 shots seed 3"], runs["a cocoop 16 shots seed 3"]
    assert (coop.training.epochs, coop.training.batch_size, coop.training.seed) == (200, 32, 3)
    assert (cocoop.training.epochs, cocoop.training.batch_size) == (10, 1)
    assert coop.method.options["context_init"] == "a photo of a"
    assert runs["a zero-shot"].training is None


def test_a_recipe_takes_part_by_its_name_and_heeds_changes_to_all():
    methods = ("cocoop", "cocoop-fast", "cocoop-random-8")
    plan = Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=methods, seeds=(1,), training={"epochs": 5})
    published, fast, random = _runs(plan)
    assert [run.method.name for run in (published, fast, random)] == ["cocoop"] * 3
    assert tuple(run.method.label for run in (published, fast, random)) == methods
    assert (fast.training.batch_size, fast.training.learning_rate, fast.training.epochs) == (8, 0.016, 5)
    assert (published.training.batch_size, random.training.batch_size) == (1, 1)
    assert (random.method.options["context_length"], random.method.options["context_init"]) == (8, None)
    assert fast.method.options == published.method.options


def test_changes_to_one_method_go_before_changes_to_all():
    methods = (MethodRun("coop", training={"epochs": 3}), MethodRun("coop", "long", training={}))
    plan = Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=methods, seeds=(1,), training={"epochs": 5})
    assert [run.training.epochs for run in _runs(plan)] == [3, 5]


def test_the_ensemble_is_zero_shot_with_an_option():
    run = _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=("zero-shot-ensemble",)))[0]
    assert (run.method.name, run.method.label, run.method.options["ensemble"]) == (
        "zero-shot", "zero-shot-ensemble", True,
    )  # fmt: skip


def test_base_is_the_first_half_rounded_up():
    run = _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a", 5),), methods=("zero-shot",)))[0]
    assert run.dataset.classes["base"] == ("thing 0", "thing 1", "thing 2")
    assert run.dataset.classes["new"] == ("thing 3", "thing 4")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"datasets": ()}, "at least one data set"),
        ({"seeds": ()}, "at least one seed"),
        ({"shots": 0}, "shots is 0"),
        ({"seeds": (1, 1)}, "seed 1 is given twice"),
        ({"seeds": (0,)}, "seed is 0; it must be a whole number of at least 1"),
        ({"seeds": (1, -1)}, "seed is -1"),
        ({"methods": ("coop", "coop")}, "method coop is given twice"),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_where_it_is_made(changes, says):
    with pytest.raises(SettingsError, match=says):
        replace(Plan(BASE_TO_NEW, datasets=(_dataset("a"),)), **changes)


def test_an_unknown_method_names_its_neighbours():
    with pytest.raises(UnknownNameError, match="coop"):
        _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=("cop",)))


def test_class_specific_contexts_cannot_go_to_new_classes():
    plan = Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=(MethodRun("coop", options={"class_specific": True}),))
    with pytest.raises(SettingsError, match="class_specific"):
        _runs(plan)


@pytest.mark.parametrize("method", ["gda", "linear-probe", "clap", "lp++", "tip-adapter", "tip-adapter-f"])
def test_what_knows_only_classes_with_pictures_cannot_be_tested_on_new_ones(method):
    with pytest.raises(
        SettingsError, match="has pictures of, .*without any; .* zero-shot, coop, cocoop, kgcoop"
    ) as said:
        _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=("zero-shot", method)))
    assert f"method {method} names only" in str(said.value)


def test_kgcoop_takes_part_with_its_recipe():
    (run,) = _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=("kgcoop",), seeds=(2,)))
    assert (run.name, run.training.epochs, run.training.batch_size) == ("a kgcoop 16 shots seed 2", 100, 128)
    assert (run.method.options["words_weight"], run.method.options["context_init"]) == (8.0, "a photo of a")


def test_an_unknown_training_option_is_named():
    with pytest.raises(SettingsError, match="epochs"):
        _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), training={"epoch": 5}))


def test_two_classes_are_too_few():
    with pytest.raises(DataError, match="at least 3"):
        _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a", 2),)))


def test_a_data_set_without_test_images_is_refused():
    with pytest.raises(DataError, match="no test images"):
        _runs(Plan(BASE_TO_NEW, datasets=(replace(_dataset("a"), test=()),)))


def test_two_data_sets_of_one_name_are_refused():
    with pytest.raises(DataError, match="two data sets are named a"):
        _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"), _dataset("a"))))


def test_a_plan_of_numpy_numbers_is_one_of_plain_ones():
    plan = Plan(BASE_TO_NEW, shots=np.int64(4), seeds=np.arange(1, 3), training={"epochs": np.int64(3)})
    assert (plan.shots, plan.seeds) == ((4,), (1, 2))
    assert {type(number) for number in (*plan.shots, *plan.seeds)} == {int}


def test_auto_takes_part_in_few_shot_as_a_method_of_its_own():
    plan = Plan(FEW_SHOT, datasets=(_dataset("a"),), methods=("zero-shot", "auto"), shots=(1, 4), seeds=(1,))
    runs = [run for run in _runs(plan) if run.method.name == "auto"]
    assert [run.shots for run in runs] == [1, 4]
    assert {(run.method.learns, run.method.open_names, run.training) for run in runs} == {(True, False, None)}
    assert "auto" in all_methods(FEW_SHOT)


def test_auto_is_refused_where_classes_without_pictures_are_tested():
    assert "auto" not in all_methods(BASE_TO_NEW)
    with pytest.raises(SettingsError, match="auto chooses for classes that it has pictures of, and base-to-new"):
        _runs(Plan(BASE_TO_NEW, datasets=(_dataset("a"),), methods=("auto",)))


def test_auto_takes_no_options():
    with pytest.raises(SettingsError, match="auto takes no options"):
        _runs(Plan(FEW_SHOT, datasets=(_dataset("a"),), methods=(MethodRun("auto", options={"alpha": 1.0}),)))
