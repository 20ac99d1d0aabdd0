"""What a method is: class features from names, and the logits that all methods share.

    p(y = i | x) = softmax_i( exp(s) cos(f(x), w_i(x)) )            (CoOp, eq. 1 and 2; CoCoOp, eq. 3)

A method of your own is a class in a file of its own: derive from `Method` and give `class_features`, or derive from
`PromptLearner` and give `context`; then name it as `path/to/file.py:ClassName` wherever a method is asked for. One that
gives a `forward` of its own is predicted with through it too, at the price that nothing is computed ahead. `setup` sees
the labelled pictures' features before training, or instead of it; `loss` and `after_epoch` are its own to give, and
`training_tensors` names what must outlive a stop between two epochs. What the class declares beside these (`title`,
`recipes`, ...) is what lists, options, help and reports say of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlprompt.backbones import Backbone
from vlprompt.errors import MethodError, SettingsError
from vlprompt.methods.output import HeldOut, Output, ScreenedPath, TrainingSet, checked_output
from vlprompt.methods.templates import DEFAULT_TEMPLATE
from vlprompt.recipes import Recipe
from vlprompt.settings_checks import seed_number
from vlprompt.text_engine import EngineChoice, refuse_one_prompt


class Method(nn.Module, ABC):
    """One way to turn class names into the weights of a classifier over image features.

    The module's parameters are what it learns; the frozen backbone is used but is no part of it, so `state_dict` holds
    a few kilobytes.

    Attributes:
        name: as the method is asked for.
        title: as tables and reports write it; the name by default. Like the recipes it is not inherited.
        about: the method in a few words, for lists.
        source: the paper, its authors and year, and where it is.
        options_class: the dataclass of its options; each is an option of the command line, and documented in its
            docstring.
        recipes: ways to train it, the usual one first; by default the defaults of `TrainingSettings`, if it learns.
        reads: "features" of images, computed once, or their "pixels": then batches (B, 3, H, W), preprocessed, go in,
            freshly augmented in training, and `encode_images` is its own.
        learns: whether there is anything to train by gradient descent.
        open_names: whether names that there are no pictures of can be added.
        image_conditioned: whether the class features may depend on the image; where they do not, say so, and
            prediction computes them once.
        held_out: what `setup` named the training pictures that it held out, where it held some out.
    """

    name: ClassVar[str]
    title: ClassVar[str] = ""
    about: ClassVar[str] = ""
    source: ClassVar[str] = ""
    options_class: ClassVar[type]
    recipes: ClassVar[tuple[Recipe, ...]] = ()
    reads: ClassVar[Literal["features", "pixels"]] = "features"
    learns: ClassVar[bool] = True
    open_names: ClassVar[bool] = True
    image_conditioned: ClassVar[bool] = True

    held_out: HeldOut | None = None

    def __init__(
        self,
        backbone: Backbone,
        class_names: Sequence[str],
        options: Any = None,
        *,
        template: str = DEFAULT_TEMPLATE,
        seed: int = 1,
        one_prompt_allowed: bool = False,
    ) -> None:
        """Prepare the method for N class names.

        Args:
            options: an instance of `options_class`; None for its defaults.
            template: the data set's zero-shot template.
            seed: of the random initial values.
            one_prompt_allowed: let names pass that are one prompt to the backbone, as saved models may have them.

        Raises:
            DataError: two different class names are one prompt to the backbone, or a name has no tokens.
        """
        super().__init__()
        if not one_prompt_allowed:
            refuse_one_prompt(backbone, class_names)
        self.one_prompt_allowed = one_prompt_allowed
        self._frozen = (backbone,)
        self.options = self.options_class() if options is None else options
        self.check_backbone(backbone, self.options)
        self.template = template
        self.seed = seed_number(seed)
        self.class_names = list(class_names)
        self.prepare()
        self.eval()  # as prediction wants it; training switches over and back

    @classmethod
    def check_backbone(cls, backbone: Backbone, options: Any) -> None:
        """Raise a `VlpromptError` that says why, where the method cannot work over a backbone; never by default."""

    def prepare(self) -> None:
        """Make what the method learns and needs; called once, when all attributes of `__init__` are there."""

    def setup(self, training_set: TrainingSet) -> None:
        """Take from the labelled pictures what is needed before, or instead of, training; nothing by default."""

    @classmethod
    def has_setup(cls) -> bool:
        """Whether it takes anything from the labelled pictures before, or instead of, training."""
        return cls.setup is not Method.setup

    @classmethod
    def uses_pictures(cls) -> bool:
        """Whether labelled pictures change it, by training or in `setup`."""
        return cls.learns or cls.has_setup()

    @property
    def backbone(self) -> Backbone:
        """The frozen backbone (kept in a tuple, so that it is no submodule)."""
        return self._frozen[0]

    @abstractmethod
    def class_features(self, image_features: Tensor) -> Tensor:
        """Features w_i(x) of the classes, not normalised.

        Args:
            image_features: (B, E), L2-normalised.

        Returns:
            (b, N, E), where b is B, or 1 where the classes' features do not depend on the image.
        """

    def forward(self, inputs: Tensor) -> Output:
        """Logits exp(s) cos(f, w), in training and in prediction.

        Args:
            inputs: what it `reads`: image features (B, E), normalised or not, or pixels (B, 3, H, W), preprocessed.
        """
        images = self.encode_images(inputs)
        return replace(self.output(images, self.class_features(images)), inputs=inputs)

    def encode_images(self, inputs: Tensor) -> Tensor:
        """Image features (B, E), L2-normalised, of what it `reads`; a method that reads pixels has its own."""
        return self.normalised(inputs)

    def loss(self, output: Output, labels: Tensor) -> Tensor:
        """What training minimises, a mean over the images: the cross-entropy of the logits with labels (B,)."""
        logits = output.logits
        return F.cross_entropy(logits.float() if logits.dtype.itemsize < 4 else logits, labels)

    def text_engine(self) -> EngineChoice | None:
        """Which engine encodes its prompts, and why; None for a method whose prompts are words, encoded once, whole."""
        return None

    def screening(self) -> ScreenedPath | None:
        """How all classes can be scored by an expansion (see `vlprompt.screening`); None, the default, if they cannot.

        A class that gives another `forward`, `output`, `class_features` or `context` than the one whose `screening` it
        inherits is not screened, unless it gives `screening` anew.
        """
        return None

    def after_epoch(self, epoch: int, epochs: int) -> None:
        """Called after each epoch (counted from 1) of `epochs`; nothing by default."""

    def training_tensors(self) -> Mapping[str, Tensor]:
        """What it remembers from epoch to epoch beside `state_dict`, by name, such as an average; nothing by default.

        A checkpoint keeps them, and going on from one overwrites their values; a saved model has none of them.
        """
        return {}

    def normalised(self, image_features: Tensor) -> Tensor:
        """Image features (B, E) of any length, type and device -> L2-normalised, as the backbone has them."""
        return F.normalize(image_features.to(self.backbone.device, self.backbone.dtype), dim=-1)

    def output(self, images: Tensor, class_features: Tensor) -> Output:
        """The logits over class features that are known.

        Args:
            images: (B, E), L2-normalised.
            class_features: (b, N, E), b of 1 or B, not normalised.

        Raises:
            MethodError: class features of another shape or type.
        """
        self._check_type(class_features, images)
        wanted = (len(self.class_names), images.shape[-1])
        if (
            class_features.ndim != 3
            or class_features.shape[1:] != wanted
            or len(class_features) not in (1, len(images))
        ):
            raise MethodError(
                f"the method {type(self).__name__} gives class features of the shape {tuple(class_features.shape)} for "
                f"{len(images)} images; it must be (b, {wanted[0]}, {wanted[1]}), with b of 1 or {len(images)}."
            )
        classes = F.normalize(class_features, dim=-1)
        cosines = images @ classes[0].T if len(classes) == 1 else torch.einsum("be,bne->bn", images, classes)
        return Output(self.scaled(cosines), images, classes)

    def _check_type(self, class_features: Any, images: Tensor) -> None:
        """Raise MethodError unless class features are a tensor of floats, none wider than the images' features."""
        floats = isinstance(class_features, Tensor) and class_features.is_floating_point()
        if not floats or class_features.dtype.itemsize > images.dtype.itemsize:
            got = class_features.dtype if isinstance(class_features, Tensor) else type(class_features).__name__
            raise MethodError(
                f"the method {type(self).__name__} gives class features of the type {got}; they must be a tensor of "
                f"{images.dtype}."
            )

    def scaled(self, cosines: Tensor) -> Tensor:
        """The logits of cosines, exp(s) cos + b."""
        return self.backbone.logit_scale * cosines + self.backbone.logit_bias

    @property
    def has_fixed_class_features(self) -> bool:
        """Whether class features alone give its logits and are the same for every image, so that they can be kept."""
        return not self.image_conditioned and type(self).forward is Method.forward

    @torch.no_grad()
    def predict_logits(self, inputs: Tensor, batch_size: int = 64) -> Tensor:
        """What `forward` gives without gradients, some images at a time: what it `reads`, of n images -> (n, N)."""
        if not len(inputs):
            return torch.empty(0, len(self.class_names))
        where: dict[str, Any] = {"device": self.backbone.device, "dtype": self.backbone.dtype}
        batches = inputs.split(batch_size)
        return torch.cat([checked_output(self, batch.to(**where)).logits.cpu() for batch in batches])

    def load_learned(self, tensors: Mapping[str, Tensor]) -> None:
        """Take what `state_dict` gave, strictly.

        Raises:
            RuntimeError: a tensor is missing, surplus, of another shape, or has values that cannot be.
        """
        self.load_state_dict(tensors)

    def expected_state(self, pictures: int) -> Mapping[str, Tensor]:
        """Tensors with the names, types and shapes of what it has learned from so many pictures, whatever they hold."""
        return self.state_dict()

    def with_class_names(self, class_names: Sequence[str]) -> Method:
        """The same method over other classes, sharing everything that it has learned.

        Raises:
            DataError: two different names are one prompt to the backbone, or a name has no tokens.
            SettingsError: what it has learned belongs to its own classes (class-specific contexts).
        """
        allowed = {"one_prompt_allowed": True} if self.one_prompt_allowed else {}
        other = type(self)(self.backbone, class_names, self.options, template=self.template, seed=self.seed, **allowed)
        # Parameters, and the buffers that are saved with them; what belongs to the classes is a buffer that is not.
        for name in self.state_dict():
            module, _, attribute = name.rpartition(".")
            self._refuse_per_class(other, name)
            setattr(other.get_submodule(module), attribute, getattr(self.get_submodule(module), attribute))
        return other

    @property
    def takes_other_names(self) -> bool:
        """Whether `with_class_names` can give it names beside those that it was trained on."""
        return self.open_names

    def over(self, class_names: Sequence[str], template: str, *, one_prompt_allowed: bool = False) -> Method:
        """The same method over the classes of another data set, which has a template of its own.

        Raises:
            DataError, SettingsError: as `with_class_names`.
        """
        described = copy(self)
        described.template = template
        described.one_prompt_allowed = one_prompt_allowed or self.one_prompt_allowed
        return described.with_class_names(class_names)

    def _refuse_per_class(self, other: Method, name: str) -> None:
        """Raise SettingsError for a learned tensor that has another shape over other classes."""
        shape, wanted = (tuple(method.state_dict()[name].shape) for method in (self, other))
        if shape != wanted:
            raise SettingsError(
                f"the method {type(self).__name__} has learned {name} of the shape {shape}, which would be {wanted} "
                "for these classes: it belongs to the classes that it was trained on, and cannot name others."
            )


__all__ = ["Method", "Output", "ScreenedPath", "TrainingSet"]
