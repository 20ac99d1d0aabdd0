"""Every data set behind one door: a bundled or published name, a folder, a manifest or a split file of the papers."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlprompt.data.checks import check_dataset
from vlprompt.data.class_words import (
    BESIDE_THE_CLASSES,
    ClassWords,
    read_class_words,
    refuse_bare_numbers,
    warn_about_codes,
)
from vlprompt.data.entries import dataset_from_entries
from vlprompt.data.export_split import arranged, read_export_split
from vlprompt.data.folders import folder_entries
from vlprompt.data.manifests import SUFFIXES, manifest_entries
from vlprompt.data.published.loading import load_published
from vlprompt.data.published.root import data_root
from vlprompt.data.published.sets import PUBLISHED
from vlprompt.data.published.split_files import is_lines, is_split_of_lines, load_published_split
from vlprompt.data.samples import Dataset
from vlprompt.errors import DataError, SettingsError, UnknownNameError, VlpromptError, quoted
from vlprompt.escaping import for_terminal
from vlprompt.files.checkpoint_files import how_to_convert, is_checkpoint_name
from vlprompt.files.text_files import is_unicode
from vlprompt.plugins import from_file, is_in_a_file, offer_named, offered_names

DATASETS = (
    "emoji-activities",
    "emoji-animals",
    "emoji-faces",
    "emoji-food",
    "emoji-objects",
    "emoji-travel",
)
"""The bundled data sets."""


class SameNameWarning(UserWarning):
    """A published data set is meant, and a folder of its name is here, too."""


def load_dataset(
    source: str | Path,
    *,
    name: str | None = None,
    root: str | Path | None = None,
    class_words: ClassWords | None = None,
    seed: int = 1,
    image_root: str | Path | None = None,
    template: str | None = None,
    domain: str = "flat",
    random_splits: bool = True,
    minimum_classes: int = 2,
    path_column: str | None = None,
    label_column: str | None = None,
) -> Dataset:
    """Lists a data set; images are opened later.

    Args:
        source: a bundled name (`DATASETS`), a published one (`PUBLISHED`), a folder of class folders, a folder with
            train, val and test folders of class folders, a manifest (.csv, .tsv, .jsonl), or the papers'
            split_zhou_*.json. A folder that is called like a bundled or published data set is meant by `./emoji-food`.
            `mine=path/to/photos` gives it a name. An exported folder is read in the order of its `split.json`, see
            `vlprompt.data.export_split`. Or `path/to/file.py:function`, whose function gives a `Dataset`, or a name
            that an installed package offers (`vlprompt.plugins`), unless a file or folder here is called so.
        name: what results call it; by default the bundled or published name, or that of the folder or file.
        root: the folder that holds the published data sets; by default VLPROMPT_DATA names it, or ~/vlprompt-data.
        class_words: better words for folder names or labels, as a mapping or a YAML, JSON or CSV file. A
            `class_words.yaml` in a folder of class folders is read by itself. Numbers need them.
        seed: of the random split of a source without splits.
        image_root: where the paths of a manifest or split file start, by default from the file's folder.
        template: of the zero-shot prompt, with {} for the class name; by default the data set's own.
        domain: whose drawings a bundled data set shows.
        random_splits: whether a source without splits is split at random (50% train, 20% val, 30% test of each
            class); otherwise all its images are in train.
        minimum_classes: fewer are refused.
        path_column, label_column: what a manifest calls these columns; by default `path`, `label` or a usual name.

    Raises:
        DataError: no such folder or file, nothing usable in it, one class only, or as the loader of its kind says.
        UnknownNameError: neither a bundled name nor a path; words for a class that does not exist.
        SettingsError: an option that this kind of source does not have, or a template without {}.

    Warns:
        PublishedCountsWarning, OwnSplitWarning, SameNameWarning: of a published data set.
    """
    named, source = _name_and_source(source)
    _check_template(template)
    columns = {"path_column": path_column, "label_column": label_column}
    _check_domain(domain, source)
    if isinstance(source, str) and source in DATASETS:
        _refuse_options(source, root=root, class_words=class_words, image_root=image_root, **columns)
        dataset = _load_bundled(source, domain)
    elif isinstance(source, str) and source in PUBLISHED:
        _refuse_options(source, class_words=class_words, image_root=image_root, **columns)
        dataset = _load_published(source, root, seed, minimum_classes)
    elif (made := _made_by_code(source)) is not None:
        _refuse_options(source, root=root, class_words=class_words, image_root=image_root, **columns)
        dataset = made
        check_dataset(dataset, minimum_classes)
    else:
        path = _existing(source)
        _refuse_options(path, root=root)
        dataset, split_file = _load_path(path, class_words, _image_root(image_root), seed, random_splits, columns)
        dataset = replace(dataset, names_are_published=split_file)
        check_dataset(dataset, minimum_classes)
    return replace(dataset, name=for_terminal(name or named or dataset.name), template=template or dataset.template)


def _check_template(template: str | None) -> None:
    if template is None:
        return
    if template.count("{}") != 1:
        raise SettingsError(f"the template is {quoted(template)}; it must have {{}} once, where the class name goes.")
    if not is_unicode(template):
        raise SettingsError(f"the template is {quoted(template)}, which is not valid Unicode text.")


def _check_domain(domain: str, source: str | Path) -> None:
    if domain != "flat" and source not in DATASETS:
        raise SettingsError(
            f"domain is {quoted(domain)}, but {source} is not bundled; only {', '.join(DATASETS)} have domains."
        )


def is_published(source: object) -> bool:
    """Whether `load_dataset` takes it for a published data set."""
    return isinstance(source, str) and _name_and_source(source)[1] in PUBLISHED


def _load_bundled(name: str, domain: str) -> Dataset:
    from vlprompt.data.emoji import load_emoji

    dataset: Dataset = load_emoji(name, domain)
    return dataset


def _load_published(name: str, root: str | Path | None, seed: int, minimum_classes: int) -> Dataset:
    if os.path.lexists(name):
        warnings.warn(
            f"{name} is taken for the published data set; the {name} in the current folder is meant by ./{name}.",
            SameNameWarning,
            stacklevel=3,
        )
    dataset = replace(load_published(PUBLISHED[name], data_root(root), seed), names_are_published=True)
    check_dataset(dataset, minimum_classes)
    return dataset


def _made_by_code(source: str | Path) -> Dataset | None:
    """The data set of a function in a file, or of an installed package; None where the source is neither.

    Raises:
        SettingsError: the code cannot be run, or gives no data set.
    """
    if not isinstance(source, str) or os.path.lexists(_expanded(source)):
        return None
    if is_in_a_file(source):
        path, _, function = source.rpartition(":")
        make = from_file("data set", _expanded(path), function)
        if not callable(make):
            raise SettingsError(f"{path} has no function {function} that gives a vlprompt.Dataset.")
        return replace(_called(make, source), name=function)
    offer = offer_named("data set", source)
    if offer is None:
        return None
    return replace(_called(offer.load(), f"{source} of the installed package {offer.package}"), name=source)


def _called(make: Any, whose: str) -> Dataset:
    """What a function that is not ours gives, if it is a data set."""
    try:
        made = make()
    except VlpromptError:
        raise
    except Exception as error:
        raise SettingsError(f"the data set {whose} cannot be made ({type(error).__name__}: {error}).") from error
    if not isinstance(made, Dataset):
        raise SettingsError(f"the data set {whose} is a {type(made).__name__}; it must be a vlprompt.Dataset.")
    return made


def _load_path(
    path: Path,
    class_words: ClassWords | None,
    image_root: Path | None,
    seed: int,
    random_splits: bool,
    columns: Mapping[str, str | None],
) -> tuple[Dataset, bool]:
    """The data set, and whether it is a published split file's."""
    suffix = path.suffix.lower()
    class_order: list[str] = []
    split, bundled = None, ""
    if os.path.isdir(path):
        _refuse_options(path, image_root=image_root, **columns)
        beside = path / BESIDE_THE_CLASSES
        class_words = beside if class_words is None and os.path.isfile(beside) else class_words
        entries, called = folder_entries(path), path.resolve().name
        keys, hint = f"the class folders of {path}", f"class_words='FILE', or {beside}"
        split = read_export_split(path)
        if split is not None:
            entries, class_order, bundled = arranged(path, entries, split)
    elif is_lines(path) and class_words is None and not any(columns.values()) and is_split_of_lines(path):
        return load_published_split(path, image_root), True
    elif suffix in SUFFIXES:
        chosen = {option.removesuffix("_column"): name for option, name in columns.items() if name is not None}
        entries, called = manifest_entries(path, image_root, chosen), path.stem
        keys, hint = f"the labels of {path}", 'class_words="FILE"'
    elif suffix == ".json":
        _refuse_options(path, class_words=class_words, **columns)
        return load_published_split(path, image_root), True
    elif is_checkpoint_name(path):
        raise DataError(f"{path} is a training checkpoint, not pictures; {how_to_convert(path)}.")
    else:
        raise DataError(
            f"{path} is no data set; it must be a folder, a {', '.join(SUFFIXES)} manifest or a .json split."
        )
    words = read_class_words(class_words) if class_words is not None else {}
    if split is not None:  # folders are what the person sees, also where the class is called otherwise
        words = {split.class_names.get(key, key): said for key, said in words.items()}
    found = {entry.class_key for entry in entries}
    refuse_bare_numbers(found, words, keys, hint)
    warn_about_codes(found, words, keys, hint)
    words_source = "class_words" if isinstance(class_words, Mapping) else str(class_words)
    dataset = dataset_from_entries(
        entries,
        called,
        words=words,
        words_source=words_source,
        class_order=class_order,
        seed=seed,
        random_splits=random_splits,
    )
    return dataset if split is None else replace(dataset, template=split.template, bundled=bundled), False


def _existing(source: str | Path) -> Path:
    if isinstance(source, str) and not source.strip():
        raise DataError(f"the data are {quoted(source)}, which names nothing; the current folder is `.`.")
    path = _expanded(source)
    if os.path.exists(path):  # unlike Path.exists, no error for a name that is too long or a folder without permission
        return path
    text = str(source)
    if isinstance(source, Path) or "/" in text or "\\" in text or path.suffix:
        raise DataError(f"there is no folder or file {text}.")
    ours = (*DATASETS, *PUBLISHED)
    raise UnknownNameError("data set or folder", text, (*ours, *offered_names("data set", ours)))


def _name_and_source(source: str | Path) -> tuple[str | None, str | Path]:
    """The parts of `name=source`, where nothing on disk is called so."""
    match = re.fullmatch(r"([^=/\\]*[^=/\\\s])=(\s*\S.*)", source) if isinstance(source, str) else None
    if match is None or os.path.lexists(_expanded(source)):
        return None, source
    return match[1], match[2]


def _expanded(path: str | Path) -> Path:
    return Path(os.path.expanduser(path))  # unlike Path.expanduser, no error for a user that does not exist


def _image_root(image_root: str | Path | None) -> Path | None:
    if image_root is None:
        return None
    root = _expanded(image_root)
    if not os.path.isdir(root):  # unlike Path.is_dir, no error for a name that is too long
        raise DataError(f"image_root is {root}, which is no folder.")
    return root


def _refuse_options(source: str | Path, **options: object) -> None:
    for option, value in options.items():
        if value is not None:
            raise SettingsError(f"{option} is {value}, but {source} does not take it; leave it out.")
