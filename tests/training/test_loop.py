"""The training loop against a plain one, and what it refuses."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from vlprompt.errors import DataError, MethodError, NonFiniteLossError, SettingsError, TrainingInterrupted
from vlprompt.methods.method import Output
from vlprompt.recipes import TrainingSettings, learning_rate_at
from vlprompt.training import TrainingHistory, train
from vlprompt.training.batches import epoch_order

SETTINGS = TrainingSettings(epochs=4, batch_size=4, learning_rate=0.05)


def plain_training(method, views, settings):
    """The published recipe, written down the long way with torch's own parts."""
    optimizer = torch.optim.SGD(method.parameters(), lr=1, momentum=0.9, weight_decay=5e-4, fused=True)
    losses = []
    for epoch in range(settings.epochs):
        optimizer.param_groups[0]["lr"] = learning_rate_at(settings, epoch)
        features = views.epoch(epoch)
        for batch in epoch_order(len(views.labels), settings.seed, epoch).split(settings.batch_size):
            if len(batch) < settings.batch_size <= len(views.labels):
                continue
            loss = torch.nn.functional.cross_entropy(method(features[batch]).logits, views.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("batch_size", [1, 4, 6, 32])
def test_training_is_the_published_recipe_to_the_last_bit(small_method, views, learned, same_bits, batch_size):
    settings = TrainingSettings(epochs=4, batch_size=batch_size, learning_rate=0.05)
    plain, ours = small_method(), small_method()
    losses = plain_training(plain, views, settings)
    history = train(ours, views, views.labels, settings)
    assert same_bits(learned(plain), learned(ours))
    per_epoch = len(losses) // settings.epochs
    expected = [sum(losses[first : first + per_epoch]) / per_epoch for first in range(0, len(losses), per_epoch)]
    assert [epoch.loss for epoch in history.epochs] == pytest.approx(expected, rel=1e-6)


def test_training_learns(small_method, views):
    history = train(small_method(), views, views.labels, TrainingSettings(epochs=20, batch_size=4, learning_rate=0.02))
    assert history.final_loss < 0.3 * history.epochs[0].loss
    assert history.epochs[-1].accuracy > 90


@pytest.mark.parametrize(("batch_size", "accumulate"), [(1, 4), (2, 2), (4, 3), (3, 2), (8, 4)])
def test_accumulated_batches_give_the_gradient_of_the_larger_one(small_method, views, learned, batch_size, accumulate):
    options = {"epochs": 3, "learning_rate": 0.05}
    larger, joined = small_method().double(), small_method().double()
    for method in (larger, joined):
        method.frozen[0] = method.frozen[0].double()
    views.views = views.views.double()
    train(larger, views, views.labels, TrainingSettings(batch_size=batch_size * accumulate, **options))
    train(joined, views, views.labels, TrainingSettings(batch_size=batch_size, accumulate=accumulate, **options))
    for name, tensor in learned(larger).items():
        # float64: only the order of the sums differs
        torch.testing.assert_close(learned(joined)[name], tensor, rtol=1e-12, atol=1e-13)


def test_each_epoch_asks_for_its_own_features(small_method, views):
    train(small_method(), views, views.labels, SETTINGS)
    assert views.asked == [0, 1, 2, 3]


def test_the_history_says_what_happened(small_method, views):
    history = train(small_method(), views, views.labels, SETTINGS)
    assert [epoch.number for epoch in history.epochs] == [1, 2, 3, 4]
    assert [epoch.learning_rate for epoch in history.epochs] == [
        learning_rate_at(SETTINGS, epoch) for epoch in range(4)
    ]
    assert {epoch.images for epoch in history.epochs} == {20}
    assert (history.resumed_after, history.final_loss) == (0, history.epochs[-1].loss)
    assert history.seconds > 0
    assert TrainingHistory.from_dict(history.as_dict()) == history


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_same_seed_gives_the_same_bits(small_method, views, learned, same_bits, dropout):
    results = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        method = small_method(dropout=dropout)
        train(method, views, views.labels, SETTINGS)
        results.append(learned(method))
    assert same_bits(*results)


def test_another_seed_gives_other_bits(small_method, views, learned, same_bits):
    results = []
    for seed in (1, 2):
        method = small_method()
        train(method, views, views.labels, TrainingSettings(epochs=4, batch_size=4, seed=seed))
        results.append(learned(method))
    assert not same_bits(*results)


def test_global_random_states_stay_as_they_were(small_method, views):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    train(small_method(dropout=0.5), views, views.labels, SETTINGS)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())


def test_a_trained_method_is_left_ready_for_prediction(small_method, views):
    method = small_method(dropout=0.5)
    train(method, views, views.labels, SETTINGS)
    assert not method.training


class Watcher:
    def __init__(self):
        self.seen = []

    def begin(self, **what):
        self.seen.append(("begin", what))

    def step(self, images, loss, correct):
        self.seen.append(("step", images))

    def epoch(self, number, loss, accuracy):
        self.seen.append(("epoch", number))

    def end(self):
        self.seen.append(("end",))


def test_the_reporter_hears_of_every_step_and_epoch(small_method, views):
    watcher = Watcher()
    train(small_method(), views, views.labels, TrainingSettings(epochs=2, batch_size=8), reporter=watcher)
    epoch = [("step", 8), ("step", 8)]
    begin = ("begin", {"epochs": 2, "images": 16, "done": 0})
    assert watcher.seen == [begin, *epoch, ("epoch", 1), *epoch, ("epoch", 2), ("end",)]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([0, 1, 4, 2], "label 2 is 4; with 4 classes, labels must be from 0 to 3"),
        ([0, -1, 1, 2], "label 1 is -1"),
        ([0.0, 1.0, 2.0, 3.0], "labels are of type torch.float32"),
        ([True, False, True, True], "labels are of type torch.bool"),
        ([], "labels have shape"),
        ([[0], [1], [2], [3]], r"labels have shape \(4, 1\)"),
        ([0, 1, 2], r"training features have shape \(4, 8\) and there are 3 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(small_method, make_views, labels, words):
    with pytest.raises(DataError, match=words):
        train(small_method(), make_views(count=4), labels, SETTINGS)


def test_features_that_are_not_finite_are_refused_with_their_image(small_method, views):
    views.views[1, 13, 2] = float("nan")
    with pytest.raises(DataError, match="training image 13 in epoch 2"):
        train(small_method(), views, views.labels, SETTINGS)


def test_a_method_that_learns_nothing_is_refused(small_method, views):
    method = small_method()
    method.requires_grad_(False)
    with pytest.raises(SettingsError, match="'small' learns nothing"):
        train(method, views, views.labels, SETTINGS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda logits: logits[:, 1:], r"gives logits of the shape \(4, 3\); they must be of \(4, 4\)"),
        (lambda logits: (logits, logits), "gives logits of tuple"),
        (lambda logits: logits.detach(), "do not depend on its parameters"),
    ],
)
def test_a_forward_that_cannot_be_trained_is_named(small_method, views, monkeypatch, change, said):
    method = small_method()
    forward = method.forward

    def changed(images: torch.Tensor) -> Output:
        output = forward(images)
        return replace(output, logits=change(output.logits))

    monkeypatch.setattr(method, "forward", changed)
    with pytest.raises(MethodError, match=said):
        train(method, views, views.labels, SETTINGS)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_is_refused_on_a_cpu(small_method, views, precision):
    with pytest.raises(SettingsError, match=f"precision is '{precision}', which needs a CUDA GPU"):
        train(small_method(), views, views.labels, TrainingSettings(precision=precision))


def test_a_loss_that_explodes_is_explained_and_the_last_good_parameters_stay(small_method, views, learned, same_bits):
    class Exploding(small_method):
        steps = 0

        def forward(self, image_features):
            self.steps += 1
            output = super().forward(image_features)
            if self.steps != 8:
                return output
            logits = output.logits
            return replace(output, logits=torch.cat([logits[:, :3] * 0 + 321.5, logits[:, 3:] / 0], dim=1))

    method = Exploding()
    with pytest.raises(NonFiniteLossError) as caught:
        train(method, views, views.labels, SETTINGS)
    message = str(caught.value)
    assert "in epoch 2, step 3, at learning rate 0.05" in message
    assert "(4 of 16 logits are not finite numbers, the largest other one is 321.5)" in message
    assert message.endswith("the parameters of the last finished epoch are kept: try a learning_rate below 0.05.")
    good = small_method()
    train(good, views, views.labels, TrainingSettings(epochs=1, warmup_epochs=0, batch_size=4, learning_rate=1e-5))
    assert same_bits(learned(method), learned(good))


@pytest.mark.parametrize("learning_rate", [1e38, 1e25])  # numbers that are none, and such that their squares are none
def test_parameters_ruined_by_an_epoch_s_last_step_are_noticed(small_method, views, learned, learning_rate):
    settings = TrainingSettings(epochs=1, warmup_epochs=0, batch_size=32, learning_rate=learning_rate, weight_decay=1.0)
    method = small_method()
    with torch.no_grad():
        method.scale.mul_(100)
    with pytest.raises(NonFiniteLossError, match="its step left parameters that are not finite"):
        train(method, views, views.labels, settings)
    assert all(torch.isfinite(tensor).all() for tensor in learned(method).values())


class InterruptingViews:
    """Ctrl-C in the middle of an epoch."""

    def __init__(self, views, at):
        self.views, self.at = views, at

    def epoch(self, epoch):
        if epoch == self.at:
            raise KeyboardInterrupt
        return self.views.epoch(epoch)


def test_ctrl_c_says_how_far_training_came_and_where_it_goes_on(small_method, views, tmp_path):
    with pytest.raises(TrainingInterrupted, match="after 2 of 4 epochs; the same command goes on from") as caught:
        train(small_method(), InterruptingViews(views, 2), views.labels, SETTINGS, checkpoint=tmp_path / "run")
    assert isinstance(caught.value, KeyboardInterrupt)
    assert (caught.value.epochs_done, caught.value.checkpoint) == (2, tmp_path / "run")


@pytest.mark.parametrize("at", [0, 2])
def test_ctrl_c_without_a_checkpoint_says_that_nothing_was_kept(small_method, views, tmp_path, at):
    checkpoint = tmp_path / "run" if at == 0 else None
    with pytest.raises(TrainingInterrupted, match="nothing was kept") as caught:
        train(small_method(), InterruptingViews(views, at), views.labels, SETTINGS, checkpoint=checkpoint)
    assert caught.value.checkpoint is None
    assert list(tmp_path.rglob("*")) == []


def test_ctrl_c_leaves_the_parameters_of_the_last_finished_epoch(small_method, views, learned, same_bits):
    class Interrupting(small_method):
        steps = 0

        def forward(self, image_features):
            self.steps += 1
            if self.steps == 13:  # the third of five steps of the third epoch
                raise KeyboardInterrupt
            return super().forward(image_features)

    after = []

    class Remembering(Watcher):
        def epoch(self, number, loss, accuracy):
            after.append(learned(method))

    method = Interrupting()
    with pytest.raises(TrainingInterrupted):
        train(method, views, views.labels, SETTINGS, reporter=Remembering())
    assert len(after) == 2
    assert same_bits(learned(method), after[-1])
