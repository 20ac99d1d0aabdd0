"""When a method is screened, and over how many candidates: what "auto", "off" and a number come to.

A method declares that it can be screened (`Method.screening`); nothing here knows which method it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.errors import SettingsError
from vlprompt.methods.method import Method
from vlprompt.methods.output import ScreenedPath
from vlprompt.progress import OnProgress
from vlprompt.screening.expansion import Expansion
from vlprompt.screening.screened import Screen, calibrate, screened_logits
from vlprompt.settings_checks import plain

Screening = str | int
""""auto", "off" or a number of candidates."""

CALIBRATION_IMAGES = 256
"""Training images whose features are kept to calibrate screening with."""

SCREENING_PAYS = 64
"""Classes from which "auto" screens; over fewer, exact inference takes milliseconds."""

CANDIDATE_COST = 4
"""What encoding one candidate takes, in classes encoded all together."""

WAYS_TO_LOGITS = ("forward", "output", "class_features", "context")
"""Methods of a class by which its logits come about."""


def check_screening(screening: object) -> None:
    """Raise SettingsError unless it is "auto", "off" or a number of candidates."""
    screening = plain(screening)
    number = isinstance(screening, int) and not isinstance(screening, bool) and screening >= 1
    if screening not in ("auto", "off") and not number:
        raise SettingsError(f"screening is {screening!r}; it must be 'auto', 'off' or a number of candidates above 0.")


def path_of(method: Method) -> ScreenedPath | None:
    """The path that the method declares, if it is its own.

    A class that changes how its logits come about, and inherits `screening` from one that computes them otherwise, is
    not screened: the path would be that of the other.
    """
    declared = _defined_at(method, "screening")
    if any(_defined_at(method, way) < declared for way in WAYS_TO_LOGITS):
        return None
    return method.screening()


def _defined_at(method: Method, name: str) -> int:
    """How far up in the line of its classes a method of the method's is defined; 0 is its own class."""
    line = type(method).__mro__
    return next((place for place, one in enumerate(line) if name in vars(one)), len(line))


def calibration_for(method: Method, image_features: Tensor) -> Tensor | None:
    """What screening is calibrated on: some of the training images' features, spread evenly, (n, E) -> (256, E).

    None for a method that is never screened.
    """
    if path_of(method) is None:
        return None
    places = torch.linspace(0, len(image_features) - 1, min(CALIBRATION_IMAGES, len(image_features))).round().long()
    return F.normalize(image_features[places].float(), dim=-1)


class Screener:
    """The screened inference of one fitted method over its classes.

    Attributes:
        path: that the method declares; None for a method that is never screened.
        calibration: features of training images, (n, E), L2-normalised, or None.
        screen: the calibrated expansion, once there is one.
    """

    def __init__(self, method: Method, calibration: Tensor | None = None, screen: Screen | None = None) -> None:
        self.method, self.path = method, path_of(method)
        self.calibration, self.screen = calibration, screen

    def exact_classes(self, images: int, screening: Screening) -> int:
        """How many classes of each image are encoded exactly, for so many images: all, or the k best.

        Args:
            screening: "off": all. A number k: the k best by the expansion. "auto": the k calibrated for 99.9% of the
                training images, where screening pays: from `SCREENING_PAYS` classes, with a screen saved or images
                enough to make one for.

        Raises:
            SettingsError: a number of candidates is asked for, and the method was fitted without training images to
                calibrate with.
        """
        check_screening(screening)
        classes = len(self.method.class_names)
        if screening == "off" or not images or self.path is None or not self._screens(self.path, images, screening):
            return classes
        if screening != "auto":
            return min(int(screening), classes)
        # A candidate costs several times what a class costs where all are encoded together.
        candidates = self.calibrated().candidates
        return candidates if CANDIDATE_COST * candidates < classes else classes

    def _screens(self, path: ScreenedPath, images: int, screening: Screening) -> bool:
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
        # A calibration encodes the classes for each of its images and for two values of each number of the path.
        return self.calibration is not None and images > len(self.calibration) + 2 * path.size

    def calibrated(self, on_progress: OnProgress | None = None) -> Screen:
        """The screen for the method's classes, made at the first call."""
        if self.screen is None:
            assert self.path is not None
            assert self.calibration is not None
            self.screen = calibrate(self.method, self.path, self.calibration, on_progress=on_progress)
        return self.screen

    def screened(self, image_features: Tensor, candidates: int) -> Tensor:
        """Logits (n, N), of which each image's candidates are exact and the others approximations below the best."""
        assert self.path is not None
        screen = replace(self.calibrated(), candidates=candidates)
        return screened_logits(self.method, self.path, screen, image_features)[0]

    def prepare(self, on_progress: OnProgress | None = None) -> None:
        """Calibrate what a saved model should carry: where "auto" would screen."""
        if self.path and self.calibration is not None and len(self.method.class_names) >= SCREENING_PAYS:
            self.calibrated(on_progress)

    def tensors(self) -> dict[str, Tensor]:
        """What is worth saving with the model."""
        held = {"calibration": self.calibration}
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
    def restored(cls, method: Method, tensors: dict[str, Tensor], description: dict[str, Any] | None) -> Screener:
        """What `tensors` and `description` said.

        Raises:
            ValueError: tensors of the wrong shape for the method.
        """
        width, calibration = method.backbone.feature_size, tensors.get("calibration")
        if calibration is not None and (calibration.ndim != 2 or calibration.shape[1] != width or not len(calibration)):
            raise ValueError(f"calibration has the shape {tuple(calibration.shape)}")
        screener = cls(method, calibration)
        if description is None or screener.path is None:
            return screener
        center, weights, size = tensors.get("center"), tensors.get("expansion"), screener.path.size
        if center is None or weights is None or weights.shape != (len(method.class_names), (1 + size) * width):
            raise ValueError("the expansion does not fit the classes")
        if center.shape != (size,):
            raise ValueError(f"center has the shape {tuple(center.shape)}")
        screener.screen = Screen(Expansion(center, weights), **description)
        return screener
