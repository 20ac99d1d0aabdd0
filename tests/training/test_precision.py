"""Autocast on a GPU, and the loss scaling that belongs to fp16.

Nothing is computed in half precision on a CPU here; the loss scaling is plain arithmetic and is tested in fp32.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from vlprompt.errors import SettingsError
from vlprompt.model import fitting
from vlprompt.recipes import TrainingSettings
from vlprompt.training import precision as precision_module
from vlprompt.training import state as state_module
from vlprompt.training import train
from vlprompt.training.precision import Precision, check_precision
from vlprompt.training.state import TrainingState

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.fixture
def scaled_on_cpu(monkeypatch):
    """fp16's loss scaling without its autocast, on a CPU."""
    monkeypatch.setattr(state_module, "check_precision", lambda *_: None)
    monkeypatch.setattr(Precision, "autocast", lambda self: nullcontext())


@pytest.mark.parametrize(("precision", "asked"), [("fp32", []), ("fp16", [torch.float16]), ("bf16", [torch.bfloat16])])
def test_the_chosen_format_is_asked_of_autocast(monkeypatch, precision, asked):
    formats = []
    monkeypatch.setattr(torch, "autocast", lambda device, dtype: formats.append(dtype) or nullcontext())
    with Precision(precision, torch.device("cpu")).autocast():
        pass
    assert formats == asked


def test_half_precision_is_for_gpus():
    check_precision("fp32", torch.device("cpu"))
    check_precision("fp16", torch.device("cuda"))
    with pytest.raises(SettingsError, match="precision is 'bf16', which needs a CUDA GPU, and the method is on cpu"):
        check_precision("bf16", torch.device("cpu"))


@pytest.mark.usefixtures("scaled_on_cpu")
def test_an_overflowing_gradient_leaves_out_the_step_in_fp16(small_method, learned, same_bits):
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


@pytest.mark.usefixtures("scaled_on_cpu")
def test_a_scaled_loss_trains_as_the_plain_one(small_method, views, learned):
    plain, scaled = small_method(), small_method()
    options = {"epochs": 4, "batch_size": 4, "learning_rate": 0.02}
    expected = train(plain, views, views.labels, TrainingSettings(**options))
    history = train(scaled, views, views.labels, TrainingSettings(precision="fp16", **options))
    assert history.final_loss == pytest.approx(expected.final_loss, rel=1e-4)
    for name, tensor in learned(plain).items():
        torch.testing.assert_close(learned(scaled)[name], tensor, rtol=1e-3, atol=1e-4)


def resumed_and_whole(method_class, views, settings, folder, device="cpu"):
    """Two methods trained alike: one stopped after three epochs and taken up again, one in one go."""

    class Stopping:
        def epoch(self, epoch):
            if epoch == 3:
                raise KeyboardInterrupt
            return views.epoch(epoch)

    methods = [method_class().to(device) for _ in range(3)]
    for method in methods:
        method.frozen[0] = method.frozen[0].to(device)
    with pytest.raises(KeyboardInterrupt):
        train(methods[0], Stopping(), views.labels, settings, checkpoint=folder)
    assert train(methods[1], views, views.labels, settings, checkpoint=folder).resumed_after == 3
    train(methods[2], views, views.labels, settings)
    return methods[1], methods[2]


@pytest.mark.usefixtures("scaled_on_cpu")
def test_the_loss_scale_is_taken_up_with_the_rest(small_method, views, learned, same_bits, tmp_path):
    settings = TrainingSettings(epochs=6, batch_size=4, learning_rate=0.02, precision="fp16")
    resumed, whole = resumed_and_whole(small_method, views, settings, tmp_path)
    assert same_bits(learned(resumed), learned(whole))


@on_a_gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_training_on_a_gpu_learns_fp32_parameters_and_resumes(
    small_method, views, learned, same_bits, tmp_path, precision
):
    settings = TrainingSettings(epochs=20, batch_size=4, learning_rate=0.02, precision=precision)
    resumed, whole = resumed_and_whole(small_method, views, settings, tmp_path, "cuda")
    assert same_bits(learned(resumed), learned(whole))
    assert {tensor.dtype for tensor in learned(whole).values()} == {torch.float32}


@pytest.mark.parametrize(("precision", "towers"), [("fp32", "fp32"), ("bf16", "bf16")])
def test_the_towers_train_in_the_settings_precision_and_predict_in_the_backbones_own(
    monkeypatch, tiny_backbone, precision, towers
):
    """Nothing is computed: training is replaced by a change of what is learned."""
    trained = []

    def train(self, settings, method, samples):
        trained.append(method)
        with torch.no_grad():
            method.context_vectors += 1
        return {"features_s": 0.0}, None

    monkeypatch.setattr(precision_module, "check_precision", lambda *_: None)
    monkeypatch.setattr(fitting._Run, "train", train)
    settings = fitting.MethodSettings("coop", {}, "a photo of a {}.", 1, TrainingSettings(precision=precision))
    fitted = fitting.fit(settings, [], ["dog", "cat"], tiny_backbone, None, identity={})
    assert [method.backbone.precision for method in trained] == [towers]
    assert fitted.method.backbone is tiny_backbone
    assert torch.equal(fitted.method.context_vectors, trained[0].context_vectors)
    assert fitted.record["text_engine"].startswith("segments: the text tower is causal")


def test_a_precision_that_the_device_has_not_is_refused_before_anything_is_encoded(tiny_backbone):
    settings = fitting.MethodSettings("coop", {}, "a photo of a {}.", 1, TrainingSettings(precision="fp16"))
    with pytest.raises(SettingsError, match="precision is 'fp16', which needs a CUDA GPU"):
        fitting.fit(settings, [], ["dog", "cat"], tiny_backbone, None, identity={})
