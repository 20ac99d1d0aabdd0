"""convert."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from vlprompt.cli.class_names import names_from
from vlprompt.cli.output import note
from vlprompt.errors import DataError, UnknownNameError
from vlprompt.files import check_writable
from vlprompt.model.folder import check_replaceable

if TYPE_CHECKING:
    from vlprompt.data.samples import Dataset

MODEL_BYTES = 20_000_000
MAY_BE_DATA = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
"""Endings that lists of pictures and lists of names share."""


def convert(options: Namespace) -> None:
    """Make a model folder of a checkpoint of the published code."""
    check_replaceable(Path(options.out), "--out")
    check_writable(Path(os.path.abspath(options.out)).parent, MODEL_BYTES)
    classes = _data_or_names(options)
    from vlprompt.data.samples import Dataset
    from vlprompt.model.published_checkpoints import convert_checkpoint

    model = convert_checkpoint(
        options.checkpoint,
        classes,
        backbone=options.backbone,
        position=options.position,
        template=options.template,
        device=options.device,
    )
    model.save(options.out)
    given = len(classes.class_names if isinstance(classes, Dataset) else classes)
    if given > len(model.class_names):
        note(f"It was trained on {len(model.class_names)} of the {given} classes; these are the model's.")
    note(f"The model is in {options.out}; name pictures with: vlprompt predict {options.out} PICTURE...")


def _data_or_names(options: Namespace) -> Dataset | list[str]:
    """The data set, or where there is none of this name the class names."""
    from vlprompt.data.catalogue import DATASETS, is_published, load_dataset
    from vlprompt.data.class_names import READERS
    from vlprompt.files.checkpoint_files import is_checkpoint_name

    path = Path(os.path.expanduser(options.data))
    suffix = path.suffix.lower()
    is_names = suffix in READERS and suffix not in MAY_BE_DATA
    is_names = is_names or (os.path.isfile(path) and suffix not in MAY_BE_DATA and not is_checkpoint_name(path))
    is_names = is_names or ("," in options.data and not os.path.exists(path))
    if is_names and options.data not in DATASETS and not is_published(options.data):
        return names_from(options.data, "DATA")
    try:
        return load_dataset(
            options.data,
            root=options.root,
            class_words=options.class_words,
            image_root=options.image_root,
            random_splits=False,
        )
    except UnknownNameError:
        raise
    except DataError:
        # A .csv or .json file may also hold just names.
        if not os.path.isfile(path) or suffix not in MAY_BE_DATA:
            raise
        return names_from(options.data, "DATA")
