"""fit, predict and evaluate."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from vlprompt.cli.output import names_from, note, print_json, print_table
from vlprompt.errors import CheckpointError, DataError, OutputError, SettingsError
from vlprompt.files import check_writable
from vlprompt.methods.options import PromptOptions, ZeroShotOptions
from vlprompt.model_folder import check_replaceable
from vlprompt.recipes import TrainingSettings

if TYPE_CHECKING:
    from vlprompt.classifier import PromptClassifier
    from vlprompt.data.samples import Dataset
    from vlprompt.fitted import Evaluation

MODEL_BYTES = 20_000_000
"""More than a model folder with class-specific contexts of 1000 classes takes."""


def fit(options: Namespace) -> None:
    """Train on labelled pictures, tell how good the result is on pictures kept apart, and save it."""
    out = Path(options.out)
    check_replaceable(out)
    check_writable(out.absolute().parent, MODEL_BYTES)
    dataset = _load_data(options)
    from vlprompt.classifier import PromptClassifier

    checkpoint = out.absolute().with_name(f".{out.name}.training")
    classifier = PromptClassifier(
        method=options.method,
        backbone=options.backbone,
        shots=options.shots,
        seed=options.seed,
        recipe=options.recipe,
        training=given(options, TrainingSettings, leave_out=("seed",)),
        options={**given(options, PromptOptions), **given(options, ZeroShotOptions)},
        template=options.template,
        device=options.device,
        on_unreadable=options.on_unreadable,
        checkpoint=checkpoint,
        progress=False if options.no_progress else None,
    )
    _fit_or_start_over(classifier, dataset, checkpoint)
    evaluation = _evaluate_rest(classifier, dataset, options.on_unreadable)
    _save_somewhere(classifier, out)
    shutil.rmtree(checkpoint, ignore_errors=True)
    if evaluation is not None:
        note(f"{evaluation.accuracy:.1f}% of {evaluation.total} pictures that it was not trained on are named right.")
    note(f"The model is in {out}; name pictures with: vlprompt predict {out} PICTURE...")


def predict(options: Namespace) -> None:
    """Print the most probable classes of each picture."""
    if options.top < 1:
        raise SettingsError(f"--top is {options.top}; it must be at least 1.")
    images = _expand(options.images)
    from vlprompt.fitted import load_fitted, probabilities

    classifier = load_fitted(options.model, options.backbone, options.device, method=options.method)
    if options.class_names is not None:
        classifier = classifier.with_class_names(names_from(options.class_names))
    logits, kept = classifier.logits(images, on_unreadable=options.on_unreadable)
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


def _best(shares: Any, names: Any, count: int) -> list[tuple[str, float]]:
    """The most probable classes of one picture, with their probabilities."""
    return [(str(names[label]), float(shares[label])) for label in (-shares).argsort(kind="stable")[:count]]


def evaluate(options: Namespace) -> None:
    """Print accuracy and macro F1 on labelled pictures."""
    dataset = _load_data(options)
    samples = _chosen(dataset, options.split)
    if not samples:
        raise DataError(f"{options.data} has no pictures in its {options.split} split; choose another --split.")
    from vlprompt.fitted import load_fitted

    classifier = load_fitted(options.model, options.backbone, options.device, method=options.method)
    evaluation = classifier.evaluate(samples, on_unreadable=options.on_unreadable)
    if options.json:
        print_json({"data": dataset.name, "split": options.split, **asdict(evaluation)})
        return
    rows = [(name, f"{accuracy:.1f}") for name, accuracy in evaluation.per_class.items()]
    print_table(("class", "accuracy %"), rows)
    print(f"accuracy\t{evaluation.accuracy:.2f}")
    print(f"macro F1\t{evaluation.macro_f1:.2f}")
    print(f"correct\t{evaluation.correct} of {evaluation.total}")


def _load_data(options: Namespace) -> Dataset:
    """The data set; where it has no splits of its own, all pictures are in train."""
    from vlprompt.data.catalogue import load_dataset

    return load_dataset(
        options.data,
        class_words=options.class_words,
        image_root=options.image_root,
        template=options.template,
        random_splits=False,
    )


def given(options: Namespace, settings: type, leave_out: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a settings class that were given on the command line or in the YAML file."""
    names = [entry.name for entry in fields(settings) if entry.name not in leave_out]
    return {name: options[name] for name in names if name in options}


def _fit_or_start_over(classifier: PromptClassifier, dataset: Dataset, checkpoint: Path) -> None:
    """Continue a stopped run of the same command; what another command left there is no use to anybody."""
    try:
        classifier.fit(dataset)
    except CheckpointError:
        note(f"vlprompt: an unfinished training with other settings is thrown away ({checkpoint}).")
        shutil.rmtree(checkpoint)
        classifier.fit(dataset)


def _evaluate_rest(classifier: PromptClassifier, dataset: Dataset, on_unreadable: str) -> Evaluation | None:
    """Evaluate on the test split, or where the data have no splits on the pictures that were not drawn."""
    if dataset.test:
        return classifier.evaluate(dataset.test, f"{dataset.name} test", on_unreadable)
    trained_on = set(map(id, classifier.training_samples_))
    rest = [sample for sample in dataset.train if id(sample) not in trained_on]
    if not rest:
        return None
    return classifier.evaluate(rest, f"{dataset.name}, pictures not trained on", on_unreadable)


def _save_somewhere(classifier: PromptClassifier, out: Path) -> None:
    """Save; when the place has become unusable meanwhile, keep the trained model in a temporary folder."""
    try:
        classifier.save(out)
    except OutputError as error:
        rescued = Path(tempfile.mkdtemp(prefix="vlprompt-")) / (out.name or "model")
        classifier.save(rescued)
        raise OutputError(f"{str(error).rstrip('.')}; the trained model is kept in {rescued}.") from error


def _chosen(dataset: Dataset, split: str) -> Sequence[Any]:
    splits = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    if split == "all" or not (dataset.val or dataset.test):
        return [*dataset.train, *dataset.val, *dataset.test]
    return splits[split]


def _expand(patterns: Sequence[str]) -> list[Path]:
    """Files, the pictures in folders, and what patterns match, in the order given.

    Raises:
        DataError: a file does not exist, or a folder or pattern gives no pictures.
    """
    from vlprompt.data.images import is_image_file

    found: list[Path] = []
    for pattern in patterns:
        path = Path(pattern)
        if path.is_dir():
            below = sorted(entry for entry in path.rglob("*") if entry.is_file() and is_image_file(entry))
        elif path.exists() or not any(sign in pattern for sign in "*?["):
            below = [path]
        else:
            below = sorted(map(Path, glob(pattern, recursive=True)))
        if not below:
            raise DataError(f"{pattern} gives no pictures.")
        found += below
    return found
