"""What goes into a method and comes out of it: the labelled pictures, the logits of some images, and how to screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vlprompt.errors import MethodError


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The labelled pictures as `Method.setup` sees them.

    Attributes:
        features: (n, E), L2-normalised, of the pictures under the test transform.
        labels: (n,), from 0 to N - 1; every class has at least one.
    """

    features: Tensor
    labels: Tensor


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a method named training pictures that it had not learned from, by cross-validation.

    Attributes:
        places: (m,) of the pictures in the training set.
        labels: (m,), the true ones.
        predicted: (m,).
    """

    places: Tensor
    labels: Tensor
    predicted: Tensor

    @property
    def hits(self) -> Tensor:
        """(m,) whether each was named right."""
        return self.predicted == self.labels


@dataclass(frozen=True, eq=False)
class Output:
    """What a method says of some images, and what its loss may need of how it came to that.

    Attributes:
        logits: (B, N).
        image_features: (B, E), L2-normalised.
        class_features: (b, N, E), L2-normalised, b of 1 or B; None where classes have no features of their own.
        inputs: what `Method.forward` was given, for a loss that looks at the pictures in another way, too; None from a
            forward that does not say.
    """

    logits: Tensor
    image_features: Tensor
    class_features: Tensor | None = None
    inputs: Tensor | None = None


@dataclass(frozen=True, eq=False)
class ScreenedPath:
    """The few numbers a(x) by which alone an image acts on the class features, and these as a smooth function of them.

    A method that has such a path can be screened (see `vlprompt.screening`): all classes are scored by an expansion in
    a, and only each image's best are encoded.

    Attributes:
        size: H, how many numbers.
        activation: images (B, E), L2-normalised -> a (B, H).
        class_features: a (b, H) -> (b, N, E), not normalised: what `Method.class_features` gives for the images.
        features_of: a (B, H) and labels (B, k) -> (B, k, E): those of some classes only, other ones for each image.
    """

    size: int
    activation: Callable[[Tensor], Tensor]
    class_features: Callable[[Tensor], Tensor]
    features_of: Callable[[Tensor, Tensor], Tensor]


def checked_output(method: Any, inputs: Tensor) -> Output:
    """What the method's forward gives for B images, if it is an `Output` with logits (B, N).

    Raises:
        MethodError: it gives something else, or takes what `super().forward` gives for something else.
    """
    name, wanted = type(method).__name__, (len(inputs), len(method.class_names))
    expected = f"an Output (vlprompt.methods.method) with logits of the shape {wanted}"
    try:
        output = method(inputs)
    except (TypeError, AttributeError) as error:
        # A method that was written when forward gave the logits alone goes on with them as with a tensor.
        if "Output" in str(error):
            raise MethodError(
                f"the forward of the method {name} takes what super().forward gives for a tensor ({error}); it is an "
                f"Output whose logits are in .logits, and forward must give {expected}."
            ) from error
        raise
    if not isinstance(output, Output):
        raise MethodError(f"the forward of the method {name} gives a {type(output).__name__}; it must be {expected}.")
    checked_logits(method, output.logits, len(inputs))
    return output


def checked_logits(method: Any, logits: Any, images: int) -> Tensor:
    """Logits that a method gave for some images, if they are of the shape (B, N).

    Raises:
        MethodError: they are something else.
    """
    wanted = (images, len(method.class_names))
    if not isinstance(logits, Tensor) or logits.shape != wanted:
        got = f"the shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise MethodError(f"the method {type(method).__name__} gives logits of {got}; they must be of {wanted}.")
    return logits
