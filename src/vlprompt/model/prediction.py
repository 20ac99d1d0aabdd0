"""How a fitted method names images: class features kept where they are fixed, screened where that pays, else exact.

Three ways to the same logits. Where the context is fixed (zero-shot, CoOp), the class features are computed once and
prediction is one matrix product. Where it depends on the image (CoCoOp), every image has class features of its own:
exactly, or screened (see `vlprompt.screening.expansion`), in which all classes are scored by a first-order expansion
and the best are encoded exactly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import NonFiniteLogitsError, SettingsError
from vlprompt.methods.cocoop import REDUCTION, CoCoOp
from vlprompt.methods.method import Method
from vlprompt.methods.output import checked_logits
from vlprompt.progress import OnProgress
from vlprompt.screening.expansion import Expansion
from vlprompt.screening.screened import Screen, calibrate, screened_logits
from vlprompt.settings_checks import plain

if TYPE_CHECKING:
    from vlprompt.features import EvaluationPixels

Screening = str | int
""""auto", "off" or a number of candidates."""

CALIBRATION_IMAGES = 256
"""Training images whose features are kept to calibrate screening with."""

SCREENING_PAYS = 64
"""Classes from which "auto" screens; over fewer, exact inference takes milliseconds."""

CANDIDATE_COST = 4
"""What encoding one candidate takes, in classes encoded all together."""


def check_screening(screening: object) -> None:
    """Raise SettingsError unless it is "auto", "off" or a number of candidates."""
    screening = plain(screening)
    number = isinstance(screening, int) and not isinstance(screening, bool) and screening >= 1
    if screening not in ("auto", "off") and not number:
        raise SettingsError(f"screening is {screening!r}; it must be 'auto', 'off' or a number of candidates above 0.")


class Predictor:
    """Logits of a fitted method over its classes, and what can be kept to give them quickly.

    Attributes:
        method: what it predicts with.
        calibration: features of training images, (n, E), L2-normalised, or None.
        screen: the calibrated expansion for the method's classes, once there is one.
        class_features: (N, E) of a fixed context, once computed.
    """

    def __init__(
        self,
        method: Method,
        calibration: Tensor | None = None,
        *,
        screen: Screen | None = None,
        class_features: Tensor | None = None,
    ) -> None:
        self.method, self.calibration = method, calibration
        self.screen, self.class_features = screen, class_features

    @torch.no_grad()
    def logits(self, inputs: Tensor | EvaluationPixels, screening: Screening = "off") -> Tensor:
        """exp(s) cos(f(x), g(t_i(x))) of n images: (n, N).

        Args:
            inputs: what the method reads: features (n, E), normalised or not, or pixels.
            screening: "off": all exact. A number k: the k best classes of each image by the expansion are exact, the
                others first-order approximations below the best exact one. "auto": the k calibrated for 99.9% of
                training images, where screening pays: from `SCREENING_PAYS` classes, with a calibration saved or
                images enough to make one for. Methods with a fixed context are always exact.

        Raises:
            SettingsError: a number of candidates is asked for, and the method was fitted without training images to
                calibrate with.
        """
        if not isinstance(inputs, Tensor):
            batches = [self.logits(batch, screening) for batch in inputs]
            return torch.cat(batches) if batches else torch.empty(0, len(self.method.class_names))
        exact = self.exact_classes(len(inputs), screening)
        if self.method.has_own_forward:
            return self.method.predict_logits(inputs)
        if not self.method.image_conditioned:
            return self._fixed_logits(inputs)
        if not _is_screened(self.method) or exact == len(self.method.class_names):
            return self.method.predict_logits(inputs)
        screen = replace(self.calibrated(self.method), candidates=exact)
        return screened_logits(self.method, screen, inputs)[0]

    def finite_logits(self, inputs: Tensor | EvaluationPixels, screening: Screening = "off") -> np.ndarray:
        """`logits` as an array (n, N), of the right shape and finite.

        Raises:
            MethodError: the method gives something else than a logit for each image and class.
            NonFiniteLogitsError: they are no finite numbers.
        """
        found = checked_logits(self.method, self.logits(inputs, screening), len(inputs))
        logits: np.ndarray = found.float().cpu().numpy()
        wrong = int((~np.isfinite(logits)).any(axis=1).sum())
        if wrong:
            raise NonFiniteLogitsError(
                f"the model's answers for {wrong} of {len(logits)} pictures are no finite numbers: its tensors or "
                "those of its backbone are damaged, or too large for the precision; fit it again, or take precision "
                "'fp32'."
            )
        return logits

    def exact_classes(self, images: int, screening: Screening) -> int:
        """How many classes of each image `logits` gives exactly, for so many images: all, or the k best.

        Raises:
            SettingsError: as `logits`.
        """
        check_screening(screening)
        method, classes = self.method, len(self.method.class_names)
        if screening == "off" or not images or not _is_screened(method) or not self._screens(images, screening):
            return classes
        if screening != "auto":
            return min(int(screening), classes)
        # A candidate costs several times what a class costs where all are encoded together.
        candidates = self.calibrated(method).candidates
        return candidates if CANDIDATE_COST * candidates < classes else classes

    def _fixed_class_features(self) -> Tensor:
        """Class features (N, E) that no image changes, computed once."""
        if self.class_features is None:
            nothing = torch.zeros(1, self.method.backbone.feature_size)
            nothing = nothing.to(self.method.backbone.device, self.method.backbone.dtype)
            self.class_features = self.method.class_features(nothing)[0]
        return self.class_features

    def _fixed_logits(self, inputs: Tensor) -> Tensor:
        return self.method.logits_of(inputs, self._fixed_class_features()[None]).cpu()

    def _screens(self, images: int, screening: Screening) -> bool:
        """Whether to screen so many images."""
        if screening != "auto":
            if self.calibration is None and self.screen is None:
                raise SettingsError(
                    f"screening is {screening!r}, but this model has no training images to calibrate it with; "
                    "use 'off', or fit it again."
                )
            return True
        if len(self.method.class_names) < SCREENING_PAYS:
            return False
        if self.screen is not None:
            return True
        # A calibration encodes the classes for each of its images and for two values of each hidden unit.
        hidden = self.method.backbone.feature_size // REDUCTION
        return self.calibration is not None and images > len(self.calibration) + 2 * hidden

    def calibrated(self, method: CoCoOp, on_progress: OnProgress | None = None) -> Screen:
        """The screen for the method's classes, made at the first call."""
        if self.screen is None:
            assert self.calibration is not None
            self.screen = calibrate(method, self.calibration, on_progress=on_progress)
        return self.screen

    def prepare(self, on_progress: OnProgress | None = None) -> None:
        """Compute what a saved model should carry: fixed class features, or the screen where "auto" would screen."""
        method = self.method
        if method.has_own_forward:
            return
        if not method.image_conditioned:
            with torch.no_grad():
                self._fixed_class_features()
        elif _is_screened(method) and self.calibration is not None and len(method.class_names) >= SCREENING_PAYS:
            self.calibrated(method, on_progress)

    def tensors(self) -> dict[str, Tensor]:
        """What is worth saving with the model."""
        held = {"calibration": self.calibration, "class_features": self.class_features}
        if self.screen is not None:
            held |= {"center": self.screen.expansion.center, "expansion": self.screen.expansion.weights}
        return {name: tensor for name, tensor in held.items() if tensor is not None}

    def description(self) -> dict[str, Any] | None:
        """The screen's figures as plain values; None without one."""
        if self.screen is None:
            return None
        return {
            "candidates": self.screen.candidates,
            "agreement": self.screen.agreement,
            "images": self.screen.images,
        }

    @classmethod
    def restored(cls, method: Method, tensors: dict[str, Tensor], description: dict[str, Any] | None) -> Predictor:
        """What `tensors` and `description` said.

        Raises:
            ValueError: tensors of the wrong shape for the method.
        """
        backbone = method.backbone
        tensors = {name: tensor.to(backbone.device, backbone.dtype) for name, tensor in tensors.items()}
        classes, width = len(method.class_names), backbone.feature_size
        calibration, fixed = tensors.get("calibration"), tensors.get("class_features")
        if calibration is not None and (calibration.ndim != 2 or calibration.shape[1] != width or not len(calibration)):
            raise ValueError(f"calibration has the shape {tuple(calibration.shape)}")
        if fixed is not None and fixed.shape != (classes, width):
            raise ValueError(f"class_features has the shape {tuple(fixed.shape)}")
        screen = None
        if description is not None and _is_screened(method):
            center, weights = tensors.get("center"), tensors.get("expansion")
            hidden = method.meta_net.linear1.out_features
            if center is None or weights is None or weights.shape != (classes, (1 + hidden) * width):
                raise ValueError("the expansion does not fit the classes")
            if center.shape != (hidden,):
                raise ValueError(f"center has the shape {tuple(center.shape)}")
            screen = Screen(Expansion(center, weights), **description)
        return cls(method, calibration, screen=screen, class_features=fixed)


def _is_screened(method: Method) -> TypeGuard[CoCoOp]:
    """Whether the expansion stands for the method's logits: CoCoOp, and what changes no more than its Meta-Net."""
    ways = (CoCoOp.context, CoCoOp.class_features, CoCoOp.pair_features)
    ours = all(getattr(type(method), way.__name__, None) is way for way in ways)
    return isinstance(method, CoCoOp) and ours and not method.has_own_forward


def calibration_for(method: Method, image_features: Tensor) -> Tensor | None:
    """What screening is calibrated on: some of the training images' features, spread evenly, (n, E) -> (256, E).

    None for a method that is never screened.
    """
    if not _is_screened(method):
        return None
    places = torch.linspace(0, len(image_features) - 1, min(CALIBRATION_IMAGES, len(image_features))).round().long()
    return F.normalize(image_features[places].float(), dim=-1)
