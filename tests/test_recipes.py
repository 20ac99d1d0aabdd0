"""Settings that check themselves, the published schedule, and the published recipes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vlprompt.errors import SettingsError, SettingsWarning, UnknownNameError
from vlprompt.methods import METHODS, method_class
from vlprompt.methods.declarations import declarations, recipe_for, recipe_named, recipe_names
from vlprompt.protocols import PROTOCOLS
from vlprompt.recipes import Recipe, TrainingSettings, learning_rate_at


def test_the_defaults_are_the_published_values():
    training = TrainingSettings()
    assert (training.learning_rate, training.momentum, training.weight_decay) == (0.002, 0.9, 5e-4)
    assert (training.dampening, training.nesterov, training.schedule) == (0.0, False, "cosine")
    assert (training.warmup_epochs, training.warmup_learning_rate) == (1, 1e-5)


def test_cocoop_s_ten_learning_rates_are_the_published_series():
    training = named("cocoop").training
    rates = [learning_rate_at(training, epoch) for epoch in range(10)]
    published = [1e-5, 0.002, 0.001951, 0.001809, 0.001588, 0.001309, 0.001, 0.000691, 0.000412, 0.000191]
    assert rates == pytest.approx(published, abs=5e-7)  # the series is printed with six decimals


@settings(deadline=None)
@given(epochs=st.integers(2, 250), warmup=st.integers(0, 5), rate=st.floats(1e-5, 1.0))
def test_the_schedule_is_torch_s_cosine_restarted_after_the_warmup(epochs, warmup, rate):
    warmup = min(warmup, epochs - 1)
    training = TrainingSettings(epochs=epochs, warmup_epochs=warmup, learning_rate=rate)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        if epoch < warmup:
            assert learning_rate_at(training, epoch) == training.warmup_learning_rate
            continue
        # torch computes the cosine by recursion, so the last digits differ
        assert learning_rate_at(training, epoch) == pytest.approx(scheduler.get_last_lr()[0], rel=1e-9)
        optimizer.step()
        scheduler.step()


def test_a_constant_schedule_keeps_the_learning_rate_after_the_warmup():
    training = TrainingSettings(epochs=4, schedule="constant")
    assert [learning_rate_at(training, epoch) for epoch in range(4)] == [1e-5, 0.002, 0.002, 0.002]


@pytest.mark.parametrize("epoch", [-1, 10])
def test_an_epoch_beyond_the_last_has_no_learning_rate(epoch):
    with pytest.raises(SettingsError, match="from 0 to 9"):
        learning_rate_at(named("cocoop").training, epoch)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs is 0; it must be a whole number of at least 1"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"batch_size": True}, "batch_size is True"),
        ({"accumulate": 0}, "accumulate is 0"),
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"views": 0}, "views is 0; .* or None"),
        ({"learning_rate": 0}, "learning_rate is 0; it must be above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; it must be a number above 0"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"momentum": 1.0}, "momentum is 1.0; it must be at least 0 and below 1"),
        ({"dampening": -0.1}, "dampening is -0.1"),
        ({"weight_decay": -1}, "weight_decay is -1; it must be at least 0"),
        ({"schedule": "cosin"}, "schedule is 'cosin'; it must be one of cosine, constant"),
        ({"precision": "fp8"}, "precision is 'fp8'; it must be one of fp32, fp16, bf16"),
        ({"nesterov": 1}, "nesterov is 1; it must be true or false"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs momentum above 0"),
        ({"nesterov": True, "dampening": 0.5}, "dampening 0, but .* dampening 0.5"),
        ({"epochs": 1}, "warmup_epochs is 1, .* at least 2 epochs, or warmup_epochs 0"),
    ],
)
def test_a_wrong_option_is_refused_with_its_name_its_value_and_what_would_be_right(options, words):
    with pytest.raises(SettingsError, match=words):
        TrainingSettings(**options)


def test_settings_come_back_from_their_dictionary():
    training = TrainingSettings(epochs=10, views=None, precision="bf16")
    assert TrainingSettings.from_dict(training.as_dict()) == training
    assert TrainingSettings.from_dict({"epochs": 10}) == TrainingSettings(epochs=10)


def test_an_unknown_training_option_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean learning_rate"):
        TrainingSettings.from_dict({"learning_rat": 0.1})


@pytest.mark.parametrize(
    ("shots", "epochs"), [(1, 50), (2, 100), (3, 100), (4, 100), (5, 200), (8, 200), (16, 200), (64, 200), (None, 200)]
)
def test_few_shot_coop_trains_as_long_as_published_for_its_shots(shots, epochs):
    recipe = recipe_for("coop", "few-shot", shots)
    assert (recipe.training.epochs, recipe.training.batch_size) == (epochs, 32)
    assert "rn50" in recipe.source
    assert recipe.options == {"context_length": 16, "context_init": None}


@pytest.mark.parametrize(
    ("method", "options", "epochs", "batch_size"),
    [
        ("coop", {}, 200, 32),
        ("coop", {"protocol": "cross-dataset"}, 50, 32),
        ("coop", {"protocol": "domain-shift"}, 50, 32),
        ("cocoop", {}, 10, 1),
        ("cocoop", {"protocol": "domain-shift"}, 10, 1),
    ],
)
def test_each_protocol_has_its_published_epochs_and_batch(method, options, epochs, batch_size):
    training = recipe_for(method, **options).training
    assert (training.epochs, training.batch_size) == (epochs, batch_size)


def test_base_to_new_starts_from_the_four_words_on_vit_b_16():
    for method in ("coop", "cocoop"):
        recipe = recipe_for(method)
        assert recipe.options["context_init"] == "a photo of a"
        assert "vit_b16" in recipe.source


def test_zero_shot_has_nothing_to_train():
    recipe = recipe_for("zero-shot")
    assert recipe.training is None
    with pytest.raises(SettingsError, match="zero-shot has no training settings, so epochs cannot be set"):
        recipe.with_training(epochs=3)


def test_a_recipe_with_changes_keeps_the_rest_and_is_checked():
    recipe = recipe_for("cocoop").with_training(batch_size=4)
    assert (recipe.training.batch_size, recipe.training.epochs) == (4, 10)
    with pytest.raises(SettingsError, match="epochs is 0"):
        recipe.with_training(epochs=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("coopp",), "did you mean"),
        (("coop", "few-shot", 0), "shots is 0"),
    ],
)
def test_a_recipe_that_does_not_exist_is_refused(arguments, words):
    with pytest.raises(SettingsError, match=words):
        recipe_for(*arguments)


def named(name):
    return recipe_named(name)[1]


def test_recipes_do_not_import_torch():
    program = "import sys, vlprompt.recipes; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("name", ["coop-base-to-new", "cocoop"])
def test_one_epoch_shortens_the_recipes_warm_up_and_says_so(name):
    with pytest.warns(SettingsWarning, match="epochs is 1, so the recipe's warm-up of 1 is shortened to 0"):
        recipe = named(name).with_training(epochs=np.int64(1))
    changed = replace(named(name).training, epochs=1, warmup_epochs=0)
    assert recipe.training == changed
    assert learning_rate_at(recipe.training, 0) == 0.002


def test_a_warm_up_that_somebody_asked_for_is_not_shortened():
    with pytest.raises(SettingsError, match="leaves no epoch"):
        named("cocoop").with_training(epochs=1, warmup_epochs=1)


@pytest.mark.filterwarnings("error")
def test_epochs_enough_leave_the_warm_up_as_published():
    assert named("cocoop").with_training(epochs=2).training.warmup_epochs == 1


def test_every_method_has_a_recipe_for_every_protocol_with_a_source():
    for method in METHODS:
        for protocol in PROTOCOLS:
            recipe = recipe_for(method, protocol)
            assert recipe.source or method == "zero-shot"
            assert (recipe.training is not None) == method_class(method).learns


def test_a_protocol_of_ones_own_takes_the_usual_recipe():
    assert recipe_for("coop", "halves") == recipe_for("coop", "base-to-new")


def test_no_two_recipes_have_one_name_and_a_methods_name_is_no_other_methods_recipe():
    assert len(recipe_names()) == len(set(recipe_names()))
    for name in set(recipe_names()) & set(METHODS):
        method, recipe = recipe_named(name)
        assert (method, recipe) == (name, declarations()[name].recipes[0])


@pytest.mark.parametrize(
    ("method", "published"),
    [
        ("kgcoop", {"epochs": 100, "batch_size": 128, "learning_rate": 0.002, "warmup_epochs": 1, "optimizer": "sgd"}),
        ("clap", {"epochs": 300, "batch_size": 256, "learning_rate": 0.1, "weight_decay": 0.0, "warmup_epochs": 1}),
        ("tip-adapter-f", {"epochs": 20, "batch_size": 256, "learning_rate": 0.001, "optimizer": "adamw"}),
    ],
)
def test_later_methods_are_trained_as_published(method, published):
    training = recipe_for(method).training
    assert {name: getattr(training, name) for name in published} == published


@pytest.mark.parametrize("method", ["cocoop-fast", "gdaa"])
def test_a_recipes_name_is_no_methods(method):
    with pytest.raises(UnknownNameError, match="no method"):
        recipe_for(method)


def test_iterations_are_as_many_epochs_as_hold_them() -> None:
    settings = TrainingSettings(iterations=1000, batch_size=32)
    assert settings.for_images(320) == TrainingSettings(epochs=100, batch_size=32)
    assert settings.for_images(330).epochs == 91
    assert settings.for_images(1_000_000).epochs == 2  # one of warm-up, and one
    assert TrainingSettings(epochs=7).for_images(10).epochs == 7


def test_epochs_take_the_place_of_a_recipes_iterations() -> None:
    recipe = Recipe("counted", TrainingSettings(iterations=1000, warmup_epochs=0))
    assert recipe.with_training(epochs=3).training == TrainingSettings(epochs=3, warmup_epochs=0)
    assert recipe.with_training(seed=4).training == TrainingSettings(iterations=1000, warmup_epochs=0, seed=4)


def test_settings_without_iterations_are_recorded_as_they_were_before_there_were_any() -> None:
    assert "iterations" not in TrainingSettings().as_dict()
    assert TrainingSettings.from_dict(TrainingSettings(iterations=5).as_dict()).iterations == 5
