"""Autocast and loss scaling. A CPU can do both, slowly, which is enough to see that they work."""

from __future__ import annotations

import pytest
import torch

from vlprompt.errors import SettingsError
from vlprompt.recipes import TrainingSettings
from vlprompt.training import state as state_module
from vlprompt.training import train
from vlprompt.training.precision import Precision, check_precision
from vlprompt.training.state import TrainingState

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("fp16", torch.float16), ("bf16", torch.bfloat16)]
)
def test_matrix_products_are_computed_in_the_chosen_format(precision, dtype):
    with Precision(precision, CPU).autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_half_precision_is_for_gpus():
    check_precision("fp32", CPU)
    check_precision("fp16", torch.device("cuda"))
    with pytest.raises(SettingsError, match="precision is 'bf16', which needs a CUDA GPU, and the method is on cpu"):
        check_precision("bf16", CPU)


def test_an_overflowing_gradient_leaves_out_the_step_in_fp16(small_method, learned, same_bits, monkeypatch):
    monkeypatch.setattr(state_module, "check_precision", lambda *_: None)
    method = small_method()
    state = TrainingState(method, TrainingSettings(precision="fp16"))
    before = learned(method)
    for factor in (float("inf"), 1.0):
        state.descent.clear_gradients()
        state.precision.backward((method.scale * factor).sum() + (method.context * factor).sum())
        assert same_bits(before, learned(method))
        state.precision.step(state.descent)
    # the momentum begins with the first step that was made: gradient 1, weight decay 5e-4, learning rate 0.002
    expected = before["scale"] - 0.002 * (1 + 5e-4 * before["scale"])
    torch.testing.assert_close(learned(method)["scale"], expected)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_training_in_half_precision_learns_fp32_parameters(small_method, views, learned, monkeypatch, precision):
    monkeypatch.setattr(state_module, "check_precision", lambda *_: None)
    method = small_method()
    options = {"epochs": 20, "batch_size": 4, "learning_rate": 0.02, "precision": precision}
    history = train(method, views, views.labels, TrainingSettings(**options))
    assert {tensor.dtype for tensor in learned(method).values()} == {torch.float32}
    assert history.epochs[-1].accuracy > 90


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_a_resumed_run_in_half_precision_has_the_same_bits(
    small_method, views, learned, same_bits, monkeypatch, tmp_path, precision
):
    monkeypatch.setattr(state_module, "check_precision", lambda *_: None)
    settings = TrainingSettings(epochs=6, batch_size=4, learning_rate=0.02, precision=precision)
    whole, resumed = small_method(), small_method()
    train(whole, views, views.labels, settings)

    class Stopping:
        def epoch(self, epoch):
            if epoch == 3:
                raise KeyboardInterrupt
            return views.epoch(epoch)

    with pytest.raises(KeyboardInterrupt):
        train(small_method(), Stopping(), views.labels, settings, checkpoint=tmp_path)
    history = train(resumed, views, views.labels, settings, checkpoint=tmp_path)
    assert history.resumed_after == 3
    assert same_bits(learned(whole), learned(resumed))
