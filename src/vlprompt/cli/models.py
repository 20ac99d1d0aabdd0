"""fit, predict and evaluate."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from vlprompt.cli.choices import note_choices
from vlprompt.cli.class_names import names_from
from vlprompt.cli.output import note, print_json, print_table
from vlprompt.cli.picture_arguments import expand
from vlprompt.cli.results import note_classes, note_evaluation, print_evaluation
from vlprompt.cli.wording import as_typed
from vlprompt.errors import (
    CheckpointError,
    DataError,
    OutputError,
    SettingsError,
    UnreadableImagesError,
    VlpromptError,
)
from vlprompt.files import check_writable
from vlprompt.files.locks import lock_beside
from vlprompt.methods import AUTO, METHODS
from vlprompt.methods.declarations import all_options, declaration
from vlprompt.model.cautions import DRAWINGS_ONLY, cautions, drawn_words, knows_only_drawings
from vlprompt.model.folder import check_replaceable
from vlprompt.model.parameters import checked_settings
from vlprompt.progress import telling_stages
from vlprompt.recipes import TrainingSettings

if TYPE_CHECKING:
    from vlprompt.classifier import PromptClassifier
    from vlprompt.data.samples import Dataset, Sample
    from vlprompt.model.evaluation import Evaluation
    from vlprompt.model.fitted import FittedClassifier

MODEL_BYTES = 20_000_000
"""More than a model folder with class-specific contexts of 1000 classes takes."""

SET_BY_TRAINING = {"epochs": None, "batch_size": None, "learning_rate": None, "cache": None}
"""Parameters of the estimator for which the command has others."""


def fit(options: Namespace) -> None:
    """Train on labelled pictures, save the model, tell how good it is on pictures kept apart, and add that to it."""
    check_shots(options.shots)
    check_replaceable(Path(options.out), "--out")
    out = Path(os.path.abspath(options.out))
    check_writable(out.parent, MODEL_BYTES)
    with lock_beside(out):
        _fit_into(out, options)


def _fit_into(out: Path, options: Namespace) -> None:
    checkpoint = out.with_name(f".{out.name}.training")
    parameters: dict[str, Any] = {
        "method": options.method,
        "backbone": options.backbone,
        "shots": options.shots,
        "seed": options.seed,
        "recipe": options.recipe,
        "training": given(options, TrainingSettings, leave_out=("seed",)),
        "options": _given_to_the_method(options),
        "template": options.template,
        "device": options.device,
        "on_unreadable": options.on_unreadable,
        "max_pixels": options.max_pixels,
        "checkpoint": checkpoint,
        "progress": False if options.no_progress else None,
        "new_names": options.new_names,
    }
    # Before the data are looked at and the estimator is imported, whose scikit-learn takes longer than all this.
    uses_pictures = checked_settings({**SET_BY_TRAINING, **parameters}).uses_pictures
    dataset = _load_data(options)
    from vlprompt.classifier import PromptClassifier

    classifier = PromptClassifier(**parameters)
    if options.on_unreadable == "fail":
        _refuse_unreadable(
            dataset.test or dataset.train, options.max_pixels, progress=False if options.no_progress else None
        )
    with nullcontext() if options.no_progress else telling_stages():
        _fit_or_start_over(classifier, dataset, checkpoint)
    note_choices(classifier.choice_)
    _save_somewhere(classifier, out, checkpoint)
    shutil.rmtree(checkpoint, ignore_errors=True)
    try:
        evaluation = _evaluate_honestly(classifier, dataset, uses_pictures, options.on_unreadable)
    except (VlpromptError, KeyboardInterrupt):
        note(f"The trained model is kept in {options.out}; measure it with: vlprompt evaluate {options.out} DATA")
        raise
    if evaluation is not None:
        _save_somewhere(classifier, out, checkpoint)
        note_evaluation(evaluation, uses_pictures)
        note_classes(evaluation)
    if uses_pictures:
        note(drawn_words(len(classifier.training_samples_), len(dataset.train), classifier.fitted_.training["shots"]))
    if (pair := classifier.fitted_.pair) is not None:
        note(
            f"{pair.for_trained.method_name} names the classes trained on; as soon as one name is none of these, "
            f"{pair.for_new.method_name} answers for all."
        )
    note(f"The model is in {options.out}; name pictures with: vlprompt predict {options.out} PICTURE...")
    if options.json:
        found = None if evaluation is None else evaluation.as_dict()
        method = classifier.fitted_.method_name
        print_json({"model": options.out, "method": method, "choice": classifier.choice_, "evaluation": found})


def predict(options: Namespace) -> None:
    """Print the most probable classes of each picture."""
    if options.top < 1:
        raise SettingsError(f"--top is {options.top}; it must be at least 1.")
    images = expand(options.images)
    names = None if options.class_names is None else names_from(options.class_names)
    from vlprompt.model.fitted import probabilities
    from vlprompt.model.loading import load_fitted
    from vlprompt.screening.screener import check_screening

    check_screening(options.screening)
    classifier = load_fitted(options.model, options.backbone, options.device, method=options.method)
    if names is not None:
        classifier = classifier.with_class_names(names)
        _note_answering(classifier)
    logits, kept = classifier.logits(
        images, screening=options.screening, on_unreadable=options.on_unreadable, max_pixels=options.max_pixels
    )
    exact = classifier.predictor.screener.exact_classes(len(kept), options.screening)
    if exact < len(classifier.class_names):
        note(
            f"Each picture's best {exact} of {len(classifier.class_names)} classes are encoded exactly, the others "
            "approximately (--screening off: all exactly)."
        )
    guesses = [
        (str(images[place]), _best(probabilities_of_image, classifier.class_names, options.top))
        for place, probabilities_of_image in zip(kept, probabilities(logits), strict=True)
    ]
    if options.json:
        print_json(
            [
                {"image": image, "predictions": [{"class": name, "probability": share} for name, share in best]}
                for image, best in guesses
            ]
        )
        return
    rows = [(image, name, f"{share:.3f}") for image, best in guesses for name, share in best]
    print_table(("picture", "class", "probability"), rows)


def _note_answering(classifier: FittedClassifier) -> None:
    """Say which of a model's two methods answers for names that were given."""
    if classifier.pair is None:
        return
    trained, answering = classifier.pair.for_trained.method_name, classifier.method_name
    if classifier.method is classifier.pair.for_trained.method or answering == trained:
        note(f"All names are classes that the model was trained on: {answering} answers.")
    else:
        note(f"Some names are none of the classes that {trained} was trained on: {answering} answers for all names.")


def _best(shares: Any, names: Any, count: int) -> list[tuple[str, float]]:
    """The most probable classes of one picture, with their probabilities."""
    return [(str(names[label]), float(shares[label])) for label in (-shares).argsort(kind="stable")[:count]]


def evaluate(options: Namespace) -> None:
    """Print how well labelled pictures are named, class by class and in all, beside zero-shot and chance."""
    dataset = _load_data(options)
    has_splits = bool(dataset.val or dataset.test)
    if not has_splits and options.split not in ("test", "all"):
        raise SettingsError(f"--split is {options.split}, but {options.data} has no splits; it must be test or all.")
    samples = _chosen(dataset, options.split)
    if not samples:
        raise DataError(f"{options.data} has no pictures in its {options.split} split; choose another --split.")
    from vlprompt.model.loading import load_fitted

    classifier = load_fitted(options.model, options.backbone, options.device, method=options.method)
    split = options.split
    if not has_splits and split == "test":
        samples, split = _not_trained_on(classifier, samples, options.data)
    elif split in ("train", "all"):
        _note_seen(classifier, samples, dataset)
    evaluation = classifier.evaluate(
        samples,
        class_words=dataset.class_words,
        on_unreadable=options.on_unreadable,
        max_pixels=options.max_pixels,
    )
    if options.json:
        found = [as_typed(sentence) for sentence in cautions(evaluation, classifier.method.uses_pictures())]
        print_json({"data": dataset.name, "split": split, **evaluation.as_dict(), "cautions": found})
    else:
        print_evaluation(evaluation, classifier.method.uses_pictures())
    if knows_only_drawings(classifier.backbone.name, dataset.bundled):
        note(DRAWINGS_ONLY)


def _not_trained_on(classifier: FittedClassifier, samples: Sequence[Sample], data: str) -> tuple[list[Sample], str]:
    """The pictures of data without splits that the model was not trained on, and what they are called.

    Raises:
        DataError: it was trained on all of them.
    """
    if not classifier.method.uses_pictures():
        return list(samples), "all"
    if not classifier.training.get("image_keys"):
        note(f"{data} has no splits, and the model does not tell which pictures it was trained on: all are counted.")
        return list(samples), "all"
    rest = classifier.not_trained_on(samples)
    if not rest:
        raise DataError(f"the model was trained on all pictures of {data}; name others, or --split all.")
    left_out = len(samples) - len(rest)
    if left_out:
        note(f"{left_out} of {len(samples)} pictures are left out, because the model was trained on them.")
    return rest, "not trained on"


def _note_seen(classifier: FittedClassifier, samples: Sequence[Sample], dataset: Dataset) -> None:
    """Say that pictures are counted which the model was trained on, as far as that is known."""
    if not classifier.method.uses_pictures():
        return
    if dataset.val or dataset.test:
        note("Pictures of the train split are counted; those that the model was trained on flatter it.")
    elif seen := len(samples) - len(classifier.not_trained_on(samples)):
        note(f"{seen} of {len(samples)} pictures are ones that the model was trained on, which flatters it.")


def _load_data(options: Namespace) -> Dataset:
    """The data set; where it has no splits of its own, all pictures are in train."""
    from vlprompt.data.catalogue import load_dataset
    from vlprompt.data.doubles import warn_about_doubles
    from vlprompt.data.samples import with_own_names

    dataset = load_dataset(
        options.data,
        root=options.root,
        class_words=options.class_words,
        image_root=options.image_root,
        template=options.template,
        random_splits=False,
        path_column=options.path_column,
        label_column=options.label_column,
    )
    warn_about_doubles(dataset)
    return with_own_names(dataset)


def check_shots(shots: int | str | None) -> None:
    """Raise SettingsError when --shots is no number of pictures."""
    if isinstance(shots, int) and shots < 1:
        raise SettingsError(f"--shots is {shots}; it must be at least 1.")


def given(options: Namespace, settings: type, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a settings class that were given on the command line or in the YAML file."""
    names = [entry.name for entry in fields(settings) if entry.name not in leave_out]
    return {name: options[name] for name in names if name in options}


def _given_to_the_method(options: Namespace) -> dict[str, Any]:
    """The options of methods that were given, of whichever; what the method has no use for, `fit` tells."""
    methods = dict.fromkeys([*METHODS, *([] if options.method == AUTO else [options.method])])
    known = all_options({name: declaration(name) for name in methods})
    return {name: options[name] for name in known if name in options}


def _fit_or_start_over(classifier: PromptClassifier, dataset: Dataset, checkpoint: Path) -> None:
    """Continue a stopped run of the same command; what another command left there is no use to anybody."""
    try:
        classifier.fit(dataset)
    except CheckpointError:
        note(f"vlprompt: an unfinished training with other settings is thrown away ({checkpoint}).")
        shutil.rmtree(checkpoint)
        classifier.fit(dataset)


def _refuse_unreadable(samples: Sequence[Sample], max_pixels: int, progress: bool | None) -> None:
    """Find the pictures that could not be evaluated after the training before it begins.

    Raises:
        UnreadableImagesError: some files cannot be read; all of them are listed.
    """
    from vlprompt.data.images import find_unreadable
    from vlprompt.progress import progress_bars

    files = [sample for sample in samples if isinstance(sample.image, Path)]
    with progress_bars(progress) as board:
        task = board.task("checking the pictures", len(files), "img")
        failures = find_unreadable(files, progress=lambda done, _: task.advance(), max_pixels=max_pixels)
    if failures:
        raise UnreadableImagesError(failures)


def _evaluate_honestly(
    classifier: PromptClassifier, dataset: Dataset, uses_pictures: bool, on_unreadable: str
) -> Evaluation | None:
    """Evaluate on the test split, else on pictures that were not trained on, else on the training pictures, marked so.

    A method that uses no pictures was trained on none. Cross-validation goes before pictures trained on. None where no
    picture can be read.
    """
    from vlprompt.data.images import find_unreadable

    if dataset.test:
        return classifier.evaluate(dataset.test, f"{dataset.name} test", on_unreadable)
    rest = classifier.fitted_.not_trained_on(dataset.train) if uses_pictures else dataset.train
    if not all(find_unreadable([sample], max_pixels=classifier.max_pixels) for sample in rest):
        name = f"{dataset.name}, {'pictures not trained on' if uses_pictures else 'all pictures'}"
        return classifier.evaluate(rest, name, on_unreadable)
    if not uses_pictures:
        return None
    if (measured := classifier.fitted_.cross_validation) is not None:
        return measured
    name = f"{dataset.name}, pictures trained on"
    return classifier.evaluate(classifier.training_samples_, name, on_unreadable, trained_on=True)


def _save_somewhere(classifier: PromptClassifier, out: Path, checkpoint: Path) -> None:
    """Save; when the place has become unusable meanwhile, keep the trained model in a temporary folder."""
    try:
        classifier.save(out)
    except OutputError as error:
        raise OutputError(f"{str(error).rstrip('.')}; {_rescued(classifier, out, checkpoint)}") from error


def _rescued(classifier: PromptClassifier, out: Path, checkpoint: Path) -> str:
    """Where the trained model is now, in words."""
    folder = None
    try:
        folder = Path(tempfile.mkdtemp(prefix="vlprompt-"))
        classifier.save(folder / (out.name or "model"))
    except OSError:  # there is no temporary folder, or the same limit holds there
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
        if os.path.isdir(checkpoint):
            return f"the training is kept in {checkpoint}, and the same command goes on from there."
        return "the same command makes the model again."
    return f"the trained model is kept in {folder / (out.name or 'model')}."


def _chosen(dataset: Dataset, split: str) -> Sequence[Any]:
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    if split == "all" or not (dataset.val or dataset.test):  # without splits, all are in train
        return [*dataset.train, *dataset.val, *dataset.test]
    return splits[split]
