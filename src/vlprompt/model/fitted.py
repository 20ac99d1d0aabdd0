"""A fitted classifier: a method with its learned parameters over a frozen backbone, which names pictures.

It knows nothing of training; `PromptClassifier` makes one, and `vlprompt predict` and whatever serves a model load one
without importing scikit-learn.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vlprompt.data.checks import check_class_names, check_labels, normal_name, refuse_numbers
from vlprompt.data.image_lists import image_list
from vlprompt.data.images import describe, image_key
from vlprompt.data.limits import MAX_PIXELS
from vlprompt.data.samples import Sample
from vlprompt.errors import (
    DataError,
    UnreadableImageError,
    VlpromptError,
)
from vlprompt.methods import build_method
from vlprompt.model.card import model_card
from vlprompt.model.cautions import untested_words
from vlprompt.model.description import SavedModel
from vlprompt.model.evaluation import Evaluation, UntestedClassesWarning, evaluate, measure
from vlprompt.model.folder import (
    method_file_hash,
    write_model_folder,
)
from vlprompt.model.inputs import frozen_features, test_inputs
from vlprompt.progress import Counting, progress_bars
from vlprompt.settings_checks import plain_all

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.features import FeatureExtractor
    from vlprompt.methods.method import Method
    from vlprompt.methods.output import HeldOut
    from vlprompt.model.fitting import Fit
    from vlprompt.model.pair import Pair
    from vlprompt.model.prediction import Predictor
    from vlprompt.text_engine import EngineChoice


@dataclass(frozen=True, eq=False)
class FittedClassifier:
    """Names pictures.

    Attributes:
        backbone: the frozen model.
        method: prompts over the classes' words, or a head over the classes, with what was learned.
        method_name: as the method was asked for.
        trained_class_names: the words of the classes that it was trained on.
        training: what repeats the training, as plain values.
        evaluation: results of `evaluate` by name, saved with the model.
        calibration: features of some training images, (n, E), for screening; None where it would not serve.
        labels: the person's own names of the classes, by column of the logits; None where they are the words.
        label_kind: what Python has as labels, whose text the names are: "str", "int", "float" or "bool".
        pair: the two methods of a model whose head has one for names without pictures beside it; `method` is the one of
            them that serves the present names.
    """

    backbone: Backbone
    method: Method
    method_name: str
    trained_class_names: list[str]
    training: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, dict[str, Any]] = field(default_factory=dict)
    calibration: Tensor | None = None
    labels: list[str] | None = None
    label_kind: str = "str"
    pair: Pair | None = None

    @cached_property
    def predictor(self) -> Predictor:
        """Logits from features, with what is kept to give them quickly."""
        from vlprompt.model.prediction import Predictor

        return Predictor(self.method, self.calibration)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy in another process is rebuilt from: no buffers, and of a method in a file its name only."""
        state = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "method"}
        method = self.method
        return state | {
            "method": {
                "options": method.options,
                "template": method.template,
                "seed": method.seed,
                "one_prompt_allowed": method.one_prompt_allowed,
            },
            "class_words": list(method.class_names),
            "tensors": dict(method.state_dict()),
            "kept": (self.predictor.tensors(), self.predictor.screener.description()),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        from vlprompt.model.prediction import Predictor

        words, tensors, kept = (state.pop(name) for name in ("class_words", "tensors", "kept"))
        trained = state["trained_class_names"]
        method = build_method(state["method_name"], state["backbone"], trained, **state["method"])
        method.load_learned(tensors)
        method.eval()
        state["method"] = method if words == trained else method.with_class_names(words)
        self.__dict__.update(state, predictor=Predictor.restored(state["method"], *kept))

    @property
    def class_names(self) -> list[str]:
        """The person's own names of the classes, by column of the logits; as these they are given out."""
        return list(self.method.class_names if self.labels is None else self.labels)

    @property
    def class_words(self) -> dict[str, str]:
        """What prompts say for a class, by its name, where that is not the name itself."""
        pairs = zip(self.class_names, self.method.class_names, strict=True)
        return {name: words for name, words in pairs if name != words}

    @property
    def cross_validation(self) -> Evaluation | None:
        """How well training pictures were named by models that had not learned from them, where that was measured."""
        found = [values for values in self.evaluation.values() if values.get("cross_validated")]
        return Evaluation.from_dict(found[0]) if found else None

    @property
    def text_engine(self) -> EngineChoice | None:
        """Which engine encodes the model's prompts, and why; see `Method.text_engine`."""
        return self.method.text_engine()

    def logits(
        self,
        images: Sequence[Any],
        *,
        screening: str | int = "auto",
        on_unreadable: str = "fail",
        max_pixels: int = MAX_PIXELS,
        cache: str | Path | None = "default",
        progress: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """exp(s) cos(f(x), g(t_i(x))) of k images and N classes: (k, N), and the images' places (k,) among `images`.

        Args:
            images: whatever `data.image_lists.image_list` takes: paths, Pillow images, arrays, tensors, bytes...
            screening: "off" for exact logits, "auto", or the number of classes that are exact for each image; see
                `vlprompt.screening.screener.Screener.exact_classes`.
            on_unreadable: "fail" names all that cannot be read, "skip" leaves them out.
            max_pixels: pictures that take more memory than 8 bytes for each of so many are unreadable.

        Raises:
            UnreadableImagesError: some images cannot be read; all of them are listed.
            NonFiniteLogitsError: the model's answers are no finite numbers.
        """
        from vlprompt.screening.screener import check_screening

        check_screening(screening)
        extractor = self._extractor(on_unreadable=on_unreadable, cache=cache, max_pixels=max_pixels, progress=progress)
        inputs, kept = test_inputs(self.method, image_list(images), extractor)
        return self.predictor.logits(inputs, screening).numpy(), kept

    def _extractor(self, **options: Any) -> FeatureExtractor:
        from vlprompt.features import FeatureExtractor

        return FeatureExtractor(self.backbone, **options)

    def evaluate(
        self,
        samples: Sequence[Sample],
        name: str | None = None,
        *,
        class_words: Mapping[str, str] | None = None,
        trained_on: bool = False,
        on_unreadable: str = "fail",
        cache: str | Path | None = "default",
        max_pixels: int = MAX_PIXELS,
        progress: bool = True,
    ) -> Evaluation:
        """How well labelled images are named, exactly and beside zero-shot; their classes must be among the model's.

        Args:
            name: under which the result is kept in `evaluation`, and so in the saved model's card.
            class_words: the data's words for its classes. A class that the model does not know by its name is looked up
                by its words; models saved before classes kept their own names know nothing else.
            trained_on: the images are those that the model was trained on, which the result then says.
            on_unreadable, cache, max_pixels, progress: as for `logits`.

        Warns:
            UntestedClassesWarning: classes of the model of which there is no image.
        """
        from torch import Tensor

        truth_of = [self._place_of(sample, class_words or {}) for sample in samples]
        images = [sample.image for sample in samples]
        extractor = self._extractor(on_unreadable=on_unreadable, cache=cache, max_pixels=max_pixels, progress=progress)
        inputs, kept = test_inputs(self.method, image_list(images), extractor)
        if isinstance(inputs, Tensor):
            frozen = inputs
        else:
            frozen, _ = frozen_features([images[place] for place in kept.tolist()], extractor)
        truth = np.array([truth_of[place] for place in kept])
        evaluation, _, _ = evaluate(
            self.predictor, inputs, truth, self.class_names, self._zero_shot(frozen), trained_on=trained_on
        )
        if name is not None:
            self.evaluation[name] = evaluation.as_dict()
        if evaluation.untested:
            words = untested_words(evaluation.untested, len(self.class_names))
            warnings.warn(words, UntestedClassesWarning, stacklevel=2)
        return evaluation

    def _place_of(self, sample: Sample, class_words: Mapping[str, str]) -> int:
        """The column of a sample's class, by its name, else by its words.

        Raises:
            DataError: the model has no such class.
        """
        by_name, by_words = self._columns
        name = sample.class_name
        said = class_words.get(name, name)
        place = by_name.get(name, by_name.get(normal_name(name), by_words.get(normal_name(said))))
        if place is None:
            raise DataError(f"the class {name!r} of {describe(sample.image)} is none of the model's.")
        return place

    @cached_property
    def _columns(self) -> tuple[dict[str, int], dict[str, int]]:
        """The classes' columns by their names, and by their words."""
        # In Unicode's normal form, as folders of a Mac and of others have one name; a name as it is goes before that.
        by_name = {form(name): place for form in (normal_name, str) for place, name in enumerate(self.class_names)}
        return by_name, {normal_name(words): place for place, words in enumerate(self.method.class_names)}

    def _cross_validation(self, features: Tensor, held_out: HeldOut) -> Evaluation:
        truth, predicted = held_out.labels.numpy(), held_out.predicted.numpy()
        return measure(truth, predicted, self.class_names, self._zero_shot(features), cross_validated=True)

    def _zero_shot(self, features: Tensor) -> np.ndarray | None:
        """What the untrained template names the images of these features, (k,); None where it does not fit the names.

        A template may have more words than the learned context has vectors, and so be too long for a name.
        """
        try:
            method = build_method(
                "zero-shot",
                self.backbone,
                self.method.class_names,
                template=self.method.template,
                one_prompt_allowed=self.method.one_prompt_allowed,
            )
        except VlpromptError:
            return None
        return method.predict_logits(features).argmax(dim=1).cpu().numpy()

    def not_trained_on(self, samples: Sequence[Sample]) -> list[Sample]:
        """The samples whose pictures, whatever they are called, are not among those that the model was trained on.

        These are known where the training data had no test split (`image_keys` in `training`); otherwise none is left
        out. A picture that cannot be read is not left out either.
        """
        trained_on = set(self.training.get("image_keys", ()))
        return [sample for sample in samples if _key_or_nothing(sample) not in trained_on] if trained_on else [*samples]

    def with_class_names(self, names: Sequence[str] | Mapping[str, str]) -> FittedClassifier:
        """The same model over other classes, which need not have been trained on.

        Args:
            names: of the classes; a mapping gives the words that prompts say for each.

        Raises:
            DataError: fewer than two names, one that is empty or given twice, or two that are one prompt to the model;
                likewise the words.
            SettingsError: what was learned belongs to the classes trained on (heads, class-specific contexts).
        """
        from vlprompt.text_engine import refuse_one_prompt

        if self.pair is not None:
            return replace(self.pair.with_class_names(names), pair=self.pair)
        labels = [names] if isinstance(names, str) else list(names)
        if len(labels) < 2:
            raise DataError(f"class names are {labels!r}; at least two are needed.")
        words = list(names.values()) if isinstance(names, Mapping) else labels
        known = {} if self.method.open_names else self.class_words  # a head's names are its classes' own
        words = [known.get(label, said) if said == label else said for label, said in zip(labels, words, strict=True)]
        check_class_names(words)
        refuse_numbers(words, "give words, such as 'giant panda'")
        refuse_one_prompt(self.backbone, words)
        if isinstance(names, Mapping):
            check_labels(labels)
        method = self.method.with_class_names(words)
        # What was evaluated were the old classes.
        return replace(
            self,
            method=method,
            evaluation={},
            calibration=self.predictor.screener.calibration,
            labels=labels,
            label_kind="str",
        )

    def save(self, folder: str | Path, *, progress: bool | None = None) -> None:
        """Write the model as a folder: its JSON, its learned tensors, a card, and what makes prediction quick.

        It holds no backbone weights. For many classes, screening is calibrated first (see `vlprompt.screening`).

        Raises:
            OutputError: the folder cannot be written, or holds something else than a model.
        """
        with progress_bars(progress) as board:
            self.predictor.prepare(Counting(board, "calibrating screening", "img"))
        first = self if self.pair is None else self.pair.for_trained
        new_names, second = (None, {}) if self.pair is None else self.pair.saved()
        model = SavedModel(
            method=first.method_name,
            method_file_hash=method_file_hash(first.method_name),
            options=plain_all(asdict(first.method.options)),
            template=self.method.template,
            class_names=self.class_names,
            class_words=self.class_words,
            label_kind=self.label_kind,
            trained_class_names=self.trained_class_names,
            backbone=self.backbone.name,
            fingerprint=self.backbone.fingerprint,
            training=first.training,
            evaluation=self.evaluation,
            screening=self.predictor.screener.description(),
            new_names=new_names,
        )
        card = model_card(model)
        kept = self.predictor.tensors()
        write_model_folder(Path(folder), model, first.method.state_dict(), kept, card, second)


def fitted_classifier(fit: Fit, record: dict[str, Any], labels: list[str], label_kind: str) -> FittedClassifier:
    """The classifier of a fit, with what serves names without pictures beside it.

    Args:
        record: of the data and the settings; the fit has the rest.
        labels, label_kind: see `FittedClassifier`.
    """
    words, backbone = list(fit.method.class_names), fit.method.backbone
    training = record | fit.record
    named = (fit.name, words, training)
    classifier = FittedClassifier(
        backbone, fit.method, *named, calibration=fit.calibration, labels=labels, label_kind=label_kind
    )
    if fit.held_out is not None:
        name = f"{record['data']['name']}, cross-validated"
        classifier.evaluation[name] = classifier._cross_validation(*fit.held_out).as_dict()
    if fit.for_new is None:
        return classifier
    from vlprompt.model.pair import Pair

    second, record_of_second = fit.for_new, {**training, **fit.for_new.record}
    new = replace(
        classifier,
        method=second.method,
        method_name=second.name,
        training=record_of_second,
        calibration=second.calibration,
        evaluation={},
    )
    return replace(classifier, pair=Pair(classifier, new))


def probabilities(logits: np.ndarray) -> np.ndarray:
    """The softmax of logits (n, N) over the classes."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return odds / odds.sum(axis=1, keepdims=True)


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """The logarithms of the softmax of logits (n, N) over the classes."""
    below = logits - logits.max(axis=1, keepdims=True)
    return below - np.log(np.exp(below).sum(axis=1, keepdims=True))


def _key_or_nothing(sample: Sample) -> str | None:
    try:
        return image_key(sample.image)
    except UnreadableImageError:
        return None


def image_keys(samples: Sequence[Sample]) -> list[str]:
    """The content keys of the pictures that can be read."""
    return [key for key in map(_key_or_nothing, samples) if key is not None]
