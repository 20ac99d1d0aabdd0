"""Settings: NumPy's and torch's scalars are what they hold, and what cannot be used is said in one sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.splits import random_split, split_trainval
from vlprompt.errors import SettingsError
from vlprompt.methods.prompt_learner import PromptOptions
from vlprompt.methods.zero_shot import ZeroShotOptions
from vlprompt.recipes import TrainingSettings
from vlprompt.settings_checks import LARGEST, number, plain_all, seed_number, shown, truth_value, whole_number

WHOLE = [np.int64(3), np.int8(3), np.uint16(3), np.array(3), torch.tensor(3), 3]


@pytest.mark.parametrize("value", WHOLE)
def test_a_whole_number_of_any_kind_is_an_int(value):
    taken = whole_number("epochs", value, least=1)
    assert (taken, type(taken)) == (3, int)


@pytest.mark.parametrize("value", [0, -1, 2.5, 2.0, np.float64(2), True, np.True_, "3", None, np.array([3]), 10**30])
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(SettingsError, match="epochs is .*; it must be"):
        whole_number("epochs", value, least=1)


@pytest.mark.parametrize("value", [np.float32(0.5), np.float64(0.5), torch.tensor(0.5), 0.5])
def test_a_number_of_any_kind_is_a_float(value):
    taken = number("momentum", value, least=0.0, below=1.0)
    assert (taken, type(taken)) == (0.5, float)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1, np.float32(-1), True, "0.5", None, 10**400])
def test_what_is_no_number_within_the_limits_is_refused(value):
    with pytest.raises(SettingsError, match="momentum is .*; it must be"):
        number("momentum", value, least=0.0, below=1.0)


def test_numpys_truth_is_true():
    assert truth_value("nesterov", np.True_) is True


@pytest.mark.parametrize("value", [-1, np.int64(-1), LARGEST + 1, 1.5, "1", True])
def test_a_seed_that_no_generator_takes_is_refused(value):
    with pytest.raises(SettingsError, match="seed is"):
        seed_number(value)


def test_minus_one_is_told_that_no_seed_means_none():
    with pytest.raises(SettingsError, match="at least 0; draw one yourself for runs that differ"):
        seed_number(-1)


@pytest.mark.parametrize("seed", [-1, np.int64(-7)])
@pytest.mark.parametrize(
    "draw", [lambda seed: sample_few_shot((), (), None, seed), lambda seed: random_split((), seed),
             lambda seed: split_trainval((), seed)],
)  # fmt: skip
def test_no_draw_takes_a_negative_seed(draw, seed):
    with pytest.raises(SettingsError, match="seed is"):
        draw(seed)


def test_settings_of_numpy_numbers_are_those_of_plain_ones():
    ours = TrainingSettings(
        epochs=np.int64(3), batch_size=np.int32(4), accumulate=np.int8(2), learning_rate=np.float64(0.01),
        momentum=np.float64(0.5), dampening=np.float64(0.25), weight_decay=np.float64(0.0), nesterov=np.False_,
        warmup_epochs=np.int64(1), warmup_learning_rate=np.float64(1e-4), views=np.int64(2), seed=np.int64(5),
        schedule=np.str_("constant"),
    )  # fmt: skip
    plain = TrainingSettings(3, 4, 2, 0.01, 0.5, 0.25, False, 0.0, "constant", 1, 1e-4, 2, "fp32", 5)
    assert ours == plain
    assert json.loads(json.dumps(ours.as_dict())) == plain.as_dict()
    assert {type(value) for value in ours.as_dict().values()} == {int, float, bool, str}


def test_options_of_numpy_values_are_plain():
    options = PromptOptions(context_length=np.int64(5), class_specific=np.True_, memory=np.int64(10**9))
    assert [type(value) for value in (options.context_length, options.class_specific, options.memory)] == [
        int, bool, int,
    ]  # fmt: skip
    assert ZeroShotOptions(ensemble=np.True_).ensemble is True


@pytest.mark.parametrize(
    "options", [{"context_length": 2.5}, {"context_length": "4"}, {"class_specific": "no"}, {"context_init": 3}]
)
def test_options_of_another_kind_are_refused_by_name(options):
    with pytest.raises(SettingsError, match=next(iter(options))):
        PromptOptions(**options)


def test_all_that_containers_hold_becomes_plain():
    value = {"a": (np.int64(1), [np.float32(0.5)]), np.int64(3): np.arange(2), "b": {"c": np.True_, "d": None}}
    assert json.dumps(plain_all(value)) == '{"a": [1, [0.5]], "3": [0, 1], "b": {"c": true, "d": null}}'


@given(st.one_of(st.text(), st.integers(), st.lists(st.floats()), st.binary()))
def test_a_value_is_never_quoted_at_length(value):
    assert len(shown(value)) <= 80


def test_a_number_of_more_digits_than_python_prints_is_refused_like_others():
    with pytest.raises(SettingsError, match="seed is a number of thousands of digits"):
        seed_number(10**6000)
