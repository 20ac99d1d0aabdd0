"""How a fitted method names images: class features kept where they are fixed, screened where that pays, else exact.

Three ways to the same logits, chosen in `Predictor.logits`. Where the class features are the same for every image
(zero-shot, CoOp), they are computed once and prediction is one matrix product. Otherwise the method's own `forward`
gives them, batch by batch; or, for a method that declares how (CoCoOp), all classes are scored by a first-order
expansion and only the best are encoded (see `vlprompt.screening`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vlprompt.errors import NonFiniteLogitsError
from vlprompt.methods.method import Method
from vlprompt.methods.output import checked_logits
from vlprompt.progress import OnProgress
from vlprompt.screening.screener import Screener, Screening

if TYPE_CHECKING:
    from vlprompt.features import EvaluationPixels


class Predictor:
    """Logits of a fitted method over its classes, and what can be kept to give them quickly.

    Attributes:
        method: what it predicts with.
        screener: of its screened inference.
        class_features: (N, E) that are the same for every image, once computed.
    """

    def __init__(
        self,
        method: Method,
        calibration: Tensor | None = None,
        *,
        screener: Screener | None = None,
        class_features: Tensor | None = None,
    ) -> None:
        self.method, self.class_features = method, class_features
        self.screener = screener or Screener(method, calibration)

    def logits(self, inputs: Tensor | EvaluationPixels, screening: Screening = "auto") -> Tensor:
        """The method's logits for n images: (n, N), in single precision on the CPU, all finite.

        Args:
            inputs: what the method reads: features (n, E), normalised or not, or pixels.
            screening: "off" gives exact logits; otherwise those of each image's best classes are exact and the others
                approximations below them, where the method is screened; see `Screener.exact_classes`.

        Raises:
            SettingsError: as `Screener.exact_classes`.
            MethodError: the method gives something else than a logit for each image and class.
            NonFiniteLogitsError: they are no finite numbers.
        """
        logits = checked_logits(self.method, self._computed(inputs, screening), len(inputs)).float().cpu()
        wrong = int((~logits.isfinite()).any(dim=1).sum())
        if wrong:
            raise NonFiniteLogitsError(
                f"the model's answers for {wrong} of {len(logits)} pictures are no finite numbers: its tensors or "
                "those of its backbone are damaged, or too large for the precision; fit it again, or take precision "
                "'fp32'."
            )
        return logits

    @torch.no_grad()
    def _computed(self, inputs: Tensor | EvaluationPixels, screening: Screening) -> Tensor:
        """The logits (n, N) as one of the three ways gives them."""
        if not isinstance(inputs, Tensor):
            batches = [self._computed(batch, screening) for batch in inputs]
            return torch.cat(batches) if batches else torch.empty(0, len(self.method.class_names))
        exact = self.screener.exact_classes(len(inputs), screening)
        if exact < len(self.method.class_names):
            return self.screener.screened(inputs, exact)
        if self.method.has_fixed_class_features:
            images = self.method.encode_images(inputs)
            return self.method.output(images, self._fixed_class_features()[None]).logits.cpu()
        return self.method.predict_logits(inputs)

    def _fixed_class_features(self) -> Tensor:
        """Class features (N, E) that no image changes, computed once."""
        if self.class_features is None:
            nothing = self.method.normalised(torch.zeros(1, self.method.backbone.feature_size))
            self.class_features = self.method.class_features(nothing)[0]
        return self.class_features

    @torch.no_grad()
    def prepare(self, on_progress: OnProgress | None = None) -> None:
        """Compute what a saved model should carry: fixed class features, or the screen where "auto" would screen."""
        if self.method.has_fixed_class_features:
            self._fixed_class_features()
        self.screener.prepare(on_progress)

    def tensors(self) -> dict[str, Tensor]:
        """What is worth saving with the model."""
        fixed = {} if self.class_features is None else {"class_features": self.class_features}
        return self.screener.tensors() | fixed

    @classmethod
    def restored(cls, method: Method, tensors: dict[str, Tensor], screen: dict[str, Any] | None) -> Predictor:
        """What `tensors` and the screener's `description` said.

        Raises:
            ValueError: tensors of the wrong shape for the method.
        """
        backbone = method.backbone
        tensors = {name: tensor.to(backbone.device, backbone.dtype) for name, tensor in tensors.items()}
        fixed = tensors.get("class_features")
        if fixed is not None and fixed.shape != (len(method.class_names), backbone.feature_size):
            raise ValueError(f"class_features has the shape {tuple(fixed.shape)}")
        return cls(method, screener=Screener.restored(method, tensors, screen), class_features=fixed)
