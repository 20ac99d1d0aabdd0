"""The training loop, as published with CoOp (arXiv 2109.01134, section 3.1) and CoCoOp (arXiv 2203.05557, section 3.2).

Minimise the method's loss, usually the cross-entropy of p(y | x), over the few labelled images:

    for every epoch: set the learning rate, draw an order of the images, get their features
        for every batch: forward, loss, gradient, step

For a method that reads features the frozen image encoder is not run here: features come once per epoch, and a step
costs the text tower only. One that reads pixels gets each batch's pixels instead, and runs the towers itself.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from vlprompt.errors import DataError, MethodError, NonFiniteLossError, OutputError, TrainingInterrupted
from vlprompt.files import check_writable
from vlprompt.files.locks import lock_inside
from vlprompt.methods.output import checked_output
from vlprompt.progress import Reporter, Silent
from vlprompt.recipes import TrainingSettings, learning_rate_at
from vlprompt.training.batches import Group, epoch_order, epoch_seed, plan_steps
from vlprompt.training.checkpoints import CheckpointFolder, digest_of
from vlprompt.training.history import EpochResult, TrainingHistory
from vlprompt.training.state import Snapshot, TrainingState

if TYPE_CHECKING:
    from vlprompt.features import TrainingFeatures, TrainingPixels
    from vlprompt.methods.output import Output

CHECKPOINT_SHARE = 0.05
"""Largest part of the time that goes into checkpoints.

One takes 1 to 2 ms on a local disk, so that every epoch is put aside unless epochs are shorter than 40 ms or the disk
is slow; then the longest wait between two is 20 times what writing one takes.
"""


class TrainableMethod(Protocol):
    """What the loop needs of a method, besides being an `nn.Module` whose parameters are what it learns."""

    @property
    def class_names(self) -> Sequence[str]:
        """Of the N classes, by label."""
        ...

    def __call__(self, inputs: Tensor) -> Output:
        """Logits (B, N) of image features (B, E) or pixels (B, 3, H, W), and what the loss needs."""
        ...

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """The mean over the images of what training minimises."""
        ...

    def after_epoch(self, epoch: int, epochs: int) -> None:
        """Called after each epoch, counted from 1."""
        ...

    def training_tensors(self) -> Mapping[str, Tensor]:
        """What it remembers from epoch to epoch beside its state."""
        ...


def train(
    method: TrainableMethod,
    inputs: TrainingFeatures | TrainingPixels,
    labels: Tensor | Sequence[int],
    settings: TrainingSettings,
    *,
    checkpoint: Path | str | None = None,
    identity: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
) -> TrainingHistory:
    """Train a method's learned tensors in place.

    The same method, inputs, settings, machine and number of threads give the same bits, in one run or in several.
    Neither Python's, NumPy's nor torch's global random state is used or changed. When training stops early, for
    whatever reason, the method has the parameters of its last finished epoch.

    Arguments:
        method: a method whose `parameters()` are what it learns.
        inputs: what the method reads of the training images in each epoch: their features, or their pixels.
        labels: (B,) class numbers, 0 to N - 1.
        settings: the recipe.
        checkpoint: a folder in which the run is put aside after each epoch, and from which it goes on if it is there.
        identity: what else the run depends on and the method does not say, such as fingerprints of backbone and data
            set; a checkpoint with another identity is refused.
        reporter: who watches.

    Raises:
        SettingsError: the method has nothing to learn, or its device does not compute in the settings' precision.
        MethodError: the method reads pixels, and the inputs are features, or the reverse.
        DataError: labels are not one class number per image, or features are not finite numbers.
        NonFiniteLossError: the loss is not a finite number.
        CheckpointError: the checkpoint is of another run.
        OutputError: the checkpoint's folder cannot be written, or another process trains into it.
        TrainingInterrupted: Ctrl-C; a KeyboardInterrupt that knows the checkpoint.
    """
    assert isinstance(method, nn.Module)
    _check_inputs(method, inputs)
    settings = settings.for_images(len(labels))
    state = TrainingState(method, settings)
    labels = _checked_labels(labels, len(method.class_names))
    keeper = None
    with ExitStack() as held:
        if checkpoint is not None:
            check_writable(checkpoint)
            held.enter_context(lock_inside(Path(checkpoint)))
            identity = _identity(method, settings, labels, state, identity or {})
            keeper = _Keeper(CheckpointFolder(Path(checkpoint), identity, _circumstances(state.device)))
        run = _Run(method, state, inputs, labels.to(state.device), settings, keeper, reporter or Silent())
        return run.to_the_end()


class _Run:
    """One training run from where it stands to its last epoch."""

    def __init__(
        self,
        method: Any,
        state: TrainingState,
        inputs: TrainingFeatures | TrainingPixels,
        labels: Tensor,
        settings: TrainingSettings,
        keeper: _Keeper | None,
        reporter: Reporter,
    ) -> None:
        self.method = method
        self.state = state
        self.inputs = inputs
        self.labels = labels
        self.settings = settings
        self.keeper = keeper
        self.reporter = reporter
        self.steps = plan_steps(len(labels), settings.batch_size, settings.accumulate)
        self.images = sum(_size(group) for group in self.steps)

    def to_the_end(self) -> TrainingHistory:
        state, settings = self.state, self.settings
        good = self._take_up()
        resumed_after = len(state.epochs)
        self.method.train()
        self.reporter.begin(epochs=settings.epochs, images=self.images, done=resumed_after)
        try:
            with _own_randomness(state.device):
                while len(state.epochs) < settings.epochs:
                    self._epoch(len(state.epochs))
                    good = state.snapshot()
                    if self.keeper is not None:
                        self.keeper.put_aside(good, last=len(state.epochs) == settings.epochs)
        except KeyboardInterrupt:
            state.restore(good)
            raise self._interrupted(good) from None
        except BaseException:
            state.restore(good)
            raise
        finally:
            self.reporter.end()
            self.method.eval()
        return TrainingHistory(state.epochs, resumed_after)

    def _take_up(self) -> Snapshot:
        begun = self.state.snapshot()
        found = self.keeper.take_up(begun) if self.keeper is not None else None
        if found is not None:
            self.state.restore(found)
        return found or begun

    def _interrupted(self, good: Snapshot) -> TrainingInterrupted:
        folder = None
        if self.keeper is not None and good.epochs:
            with suppress(OutputError):  # what was put aside before is still there
                self.keeper.put_aside(good, last=True)
            folder = self.keeper.checkpoints.folder if self.keeper.has_written else None
        return TrainingInterrupted(len(good.epochs), self.settings.epochs, folder)

    def _epoch(self, epoch: int) -> None:
        """One epoch, counted from 0."""
        settings, state = self.settings, self.state
        started = time.perf_counter()
        order = epoch_order(len(self.labels), settings.seed, epoch)
        batches = self._batches(epoch, order)
        labels = self.labels[order.to(state.device)]
        ready = time.perf_counter()

        state.descent.learning_rate = rate = learning_rate_at(settings, epoch)
        _seed_device(state.device, epoch_seed(settings.seed, epoch, "method"))
        loss_sum = right_sum = 0.0
        for number, group in enumerate(self.steps):
            loss, right = self._step(batches, labels, group, epoch, number)
            size = _size(group)
            loss_sum += loss * size
            right_sum += right
            self.reporter.step(size, loss, right)
        self.method.after_epoch(epoch + 1, settings.epochs)
        if not state.is_finite():
            raise NonFiniteLossError(_explain(settings, epoch, len(self.steps) - 1, None))
        loss, accuracy = loss_sum / self.images, 100 * right_sum / self.images
        seconds = time.perf_counter() - ready
        result = EpochResult(epoch + 1, rate, loss, accuracy, self.images, seconds, ready - started)
        state.epochs = (*state.epochs, result)
        self.reporter.epoch(result.number, loss, accuracy)

    def _step(
        self, batches: Iterator[Tensor], labels: Tensor, group: Group, epoch: int, number: int
    ) -> tuple[float, float]:
        """One step of the descent over the next batches; the group's mean loss, and how many images were right."""
        precision = self.state.precision
        self.state.descent.clear_gradients()
        totals, size = None, _size(group)
        for batch in group:
            target, inputs = labels[batch], next(batches)
            with precision.autocast():
                output = checked_output(self.method, inputs)
            if not output.logits.requires_grad:
                raise MethodError(
                    f"the logits of the method {type(self.method).__name__} do not depend on its parameters (they have "
                    "no gradient), so training could not change them."
                )
            logits, loss = output.logits, self.method.loss(output, target)  # (B, N), ()
            if len(group) > 1:  # each batch weighs what it would in the group's own mean
                loss = loss * (len(target) / size)
            precision.backward(loss)
            right = (logits.detach().argmax(dim=1) == target).sum()
            figures = torch.stack((loss.detach(), right.to(loss.dtype)))
            totals = figures if totals is None else totals + figures
        assert totals is not None
        loss_value, right_value = totals.tolist()  # the step's only wait for the device
        if not math.isfinite(loss_value):
            raise NonFiniteLossError(_explain(self.settings, epoch, number, logits))
        precision.step(self.state.descent)
        return loss_value, right_value

    def _batches(self, epoch: int, order: Tensor) -> Iterator[Tensor]:
        """What the method reads of each batch, in the order of the steps."""
        slices = [batch for group in self.steps for batch in group]
        if not hasattr(self.inputs, "epoch"):
            return self.inputs.batches(epoch, [order[batch].tolist() for batch in slices])
        features = self._epoch_features(self.inputs, epoch)[order.to(self.state.device)]
        return (features[batch] for batch in slices)

    def _epoch_features(self, stream: TrainingFeatures, epoch: int) -> Tensor:
        features = torch.as_tensor(stream.epoch(epoch))
        if features.ndim != 2 or len(features) != len(self.labels):
            raise DataError(
                f"the training features have shape {tuple(features.shape)} and there are {len(self.labels)} labels; "
                "they must be one row per label."
            )
        finite = torch.isfinite(features).all(dim=1)
        if not bool(finite.all()):
            image = int(finite.logical_not().nonzero()[0])
            raise DataError(
                f"the features of training image {image} in epoch {epoch + 1} are not finite numbers; "
                "look at the image and at the backbone's precision."
            )
        return features.to(self.state.device)


class _Keeper:
    """Puts a run aside as often as it costs little."""

    def __init__(self, checkpoints: CheckpointFolder) -> None:
        self.checkpoints = checkpoints
        self._written_epochs = 0
        self._written_at = float("-inf")
        self._took = 0.0

    @property
    def has_written(self) -> bool:
        """Whether there is something to go on from."""
        return self._written_epochs > 0

    def take_up(self, begun: Snapshot) -> Snapshot | None:
        found = self.checkpoints.latest(begun.tensors)
        self._written_epochs = len(found.epochs) if found is not None else 0
        return found

    def put_aside(self, snapshot: Snapshot, *, last: bool) -> None:
        started = time.monotonic()
        if len(snapshot.epochs) == self._written_epochs:
            return
        if not last and started - self._written_at < self._took / CHECKPOINT_SHARE:
            return
        self.checkpoints.write(snapshot)
        self._written_epochs = len(snapshot.epochs)
        self._written_at = time.monotonic()
        self._took = self._written_at - started


def _check_inputs(method: Any, inputs: Any) -> None:
    """Raise MethodError unless a method that reads pixels gets these, and any other one features."""
    reads, given = getattr(method, "reads", "features"), "features" if hasattr(inputs, "epoch") else "pixels"
    if reads != given:
        raise MethodError(
            f"the method {getattr(method, 'name', type(method).__name__)} reads {reads}, and training was given "
            f"{given}: give it vlprompt.features.{'TrainingPixels' if reads == 'pixels' else 'CachedViews'}."
        )


def _size(group: Group) -> int:
    return int(group[-1].stop - group[0].start)


def _checked_labels(labels: Tensor | Sequence[int], classes: int) -> Tensor:
    labels = torch.as_tensor(labels)
    if labels.ndim != 1 or len(labels) == 0:
        raise DataError(f"labels have shape {tuple(labels.shape)}; they must be one class number per training image.")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(f"labels are of type {labels.dtype}; they must be whole numbers.")
    wrong = ((labels < 0) | (labels >= classes)).nonzero()
    if len(wrong):
        image = int(wrong[0])
        raise DataError(
            f"label {image} is {int(labels[image])}; with {classes} classes, labels must be from 0 to {classes - 1}."
        )
    return labels.long()


def _identity(
    method: nn.Module, settings: TrainingSettings, labels: Tensor, state: TrainingState, more: Mapping[str, Any]
) -> dict[str, Any]:
    options: Any = getattr(method, "options", None)
    return {
        "method": str(getattr(method, "name", type(method).__name__)),
        "options": asdict(options) if is_dataclass(options) and not isinstance(options, type) else {},
        "settings": settings.as_dict(),
        **more,
        "class_names": [str(name) for name in getattr(method, "class_names", [])],
        "labels": digest_of({"labels": labels}),
        "initial parameters": digest_of(state.snapshot().tensors),
    }


def _circumstances(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    return {"torch": torch.__version__, "device": name, "threads": torch.get_num_threads()}


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Whatever the method draws at random is its own affair: the caller's generators stay as they are."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield


def _seed_device(device: torch.device, seed: int) -> None:
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


def _explain(settings: TrainingSettings, epoch: int, step: int, logits: Tensor | None) -> str:
    rate = learning_rate_at(settings, epoch)
    if logits is None:
        seen = "its step left parameters that are not finite numbers"
    else:
        finite = logits.detach()[torch.isfinite(logits)]
        seen = f"{logits.numel() - finite.numel()} of {logits.numel()} logits are not finite numbers"
        if finite.numel():
            seen += f", the largest other one is {float(finite.abs().max()):.4g}"
    advice = f"try a learning_rate below {settings.learning_rate:g}"
    if settings.precision != "fp32":
        advice += f", or precision 'fp32' instead of {settings.precision!r}"
    return (
        f"training met a loss that is not a finite number in epoch {epoch + 1}, step {step + 1}, at learning rate "
        f"{rate:g} ({seen}); the parameters of the last finished epoch are kept: {advice}."
    )
