from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from vlprompt.experiments.records import TargetFacts
from vlprompt.methods.declarations import recipe_for
from vlprompt.report.repeating import repeat_command


@pytest.fixture
def published(record_of):
    """Records of the published recipes, with changes to the training of some methods."""

    def records(**changes):
        made = []
        for method in ("coop", "cocoop"):
            training = recipe_for(method).with_training(**changes.get(method, {}), seed=2).training.as_dict()
            made.append(replace(record_of("my pets", method, 2, 80, 70, source="pictures of/pets"), training=training))
        return made

    return records


def test_published_recipes_need_no_training_options(published):
    command = repeat_command(published())
    assert shlex.split(command.replace("\\\n", "")) == [
        "vlprompt", "benchmark", "base-to-new", "pictures of/pets", "--methods", "coop,cocoop", "--shots", "16",
        "--seeds", "2", "--backbone", "mini", "--out", "runs/again",
    ]  # fmt: skip


def test_what_differs_from_all_recipes_is_an_option(published):
    command = repeat_command(published(coop={"epochs": 3, "views": None}, cocoop={"epochs": 3, "views": None}))
    assert "--epochs 3" in command
    assert "--views null" in command
    assert "#" not in command


def test_what_differs_for_one_method_only_is_told(published):
    assert "# with each method's own settings" in repeat_command(published(coop={"epochs": 3}))


def test_the_command_line_understands_the_command(published):
    from vlprompt.cli.arguments import parse

    words = shlex.split(repeat_command(published(coop={"epochs": 3}, cocoop={"epochs": 3})).replace("\\\n", ""))
    _, options = parse(words[1:])
    assert options.data == ["pictures of/pets"]
    assert options.epochs == 3


def test_how_the_data_were_loaded_is_in_the_command(published):
    facts = [replace(r, dataset=replace(r.dataset, loading={"on_unreadable": "skip"})) for r in published()]
    assert "--on-unreadable skip" in repeat_command(facts)


def test_methods_that_were_run_with_other_shots_and_seeds_have_a_command_of_their_own(few_shot_records_of):
    records = [
        *few_shot_records_of(methods=("zero-shot", "gda", "lp++")),
        *few_shot_records_of(methods=("coop",), seeds=(1,), shots=(4,)),
    ]
    first, second = sorted(repeat_command(records).split("\n\n"), key=len)
    assert "--methods coop" in first
    assert "--shots 4 " in first
    assert "--seeds 1 " in first
    assert "--methods zero-shot,lp++,gda" in second
    assert "--shots 1,2,4,8,16" in second
    assert "--seeds 1,2,3" in second


def test_what_is_tested_on_other_data_sets_names_them_behind_the_source(few_shot_record_of):
    results = {"emoji-objects": 80, "emoji-food": 70, "eurosat": 60}
    record = replace(few_shot_record_of("emoji-objects", "coop", 16, 1, results), protocol="cross-dataset")
    targets = {name: TargetFacts(name, "f", "a {}.") for name in ("emoji-food", "eurosat")}
    record = replace(record, dataset=replace(record.dataset, source="emoji-objects", targets=targets))
    assert repeat_command([record]).splitlines()[1].strip(" \\") == "emoji-objects emoji-food eurosat"
