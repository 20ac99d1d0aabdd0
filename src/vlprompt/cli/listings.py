"""list, export and cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from vlprompt.cli.output import note, print_json, print_table
from vlprompt.errors import SettingsError, UnknownNameError
from vlprompt.files import check_writable

if TYPE_CHECKING:
    from vlprompt.data.samples import Dataset
    from vlprompt.recipes import Recipe

Rows = list[tuple[str, str]]

EXPORT_BYTES = 50_000_000
"""More than any bundled data set takes as PNG files."""


def list_names(options: Namespace) -> None:
    """Print the names of one kind with a few words each."""
    if options.what == "backbones":
        _list_backbones(options.json)
        return
    rows = LISTS[options.what]()
    if options.json:
        print_json([{"name": name, "about": about} for name, about in rows])
    else:
        print_table((options.what.removesuffix("s"), "about"), rows)


def export(options: Namespace) -> None:
    """Write a bundled data set's pictures into folders, whole or not at all."""
    if options.classes is not None and options.classes < 2:
        raise SettingsError(f"--classes is {options.classes}; it must be at least 2.")
    check_writable(Path(options.folder).absolute().parent, EXPORT_BYTES)
    from vlprompt.data.catalogue import DATASETS, load_dataset
    from vlprompt.data.exporting import export_dataset
    from vlprompt.progress import progress_bars

    if options.dataset not in DATASETS:
        raise UnknownNameError("bundled data set", options.dataset, DATASETS)
    dataset = _first_classes(load_dataset(options.dataset, domain=options.domain), options.classes)
    count = len(dataset.train) + len(dataset.val) + len(dataset.test)
    with progress_bars() as board:
        task = board.task(f"drawing {dataset.name}", count, "img")
        export_dataset(dataset, options.folder, progress=lambda done, _: task.advance())
    note(f"{count} pictures of {len(dataset.class_names)} classes are in {options.folder}.")


def _first_classes(dataset: Dataset, count: int | None) -> Dataset:
    from vlprompt.data.splits import keep_labels

    if count is None:
        return dataset
    return replace(
        dataset,
        train=keep_labels(dataset.train, range(count)),
        val=keep_labels(dataset.val, range(count)),
        test=keep_labels(dataset.test, range(count)),
    )


def cache(options: Namespace) -> None:
    """Print what the feature cache holds, or empty it."""
    from vlprompt.features.cache import cache_folder, cache_info, clear_cache

    if options.action == "clear":
        freed = clear_cache()
        note(f"The cache {cache_folder()} is empty; {freed / 1e6:.1f} MB are free again.")
        return
    info = cache_info()
    rows = [
        (entry.backbone, entry.transform, str(entry.rows), f"{entry.size_bytes / 1e6:.1f}") for entry in info.entries
    ]
    print_table(("backbone", "transform", "pictures", "MB"), rows)
    note(f"{info.folder}: {info.size_bytes / 1e6:.1f} MB in all")


def _list_backbones(as_json: bool) -> None:
    """Print the backbones with what they need, and whether their weights are on this machine."""
    from vlprompt.backbones import list_backbones, listed_backbones
    from vlprompt.plugins import listed_offers

    listed, offered = listed_backbones(), listed_offers("backbone", list_backbones())
    if as_json:
        print_json([*map(asdict, listed), *({"name": name, "about": about} for name, about in offered)])
        return
    rows = [
        (
            entry.name,
            entry.needs or "-",
            str(entry.image_size),
            f"{entry.parameters / 1e6:.0f} M" if entry.parameters else "-",
            "yes" if entry.here else "no",
        )
        for entry in listed
    ]
    rows += [(name, about, "-", "-", "-") for name, about in offered]
    print_table(("backbone", "needs", "pixels", "parameters", "weights here"), rows)


def _methods() -> Rows:
    from vlprompt.methods import AUTO, METHODS
    from vlprompt.methods.declarations import declarations
    from vlprompt.plugins import listed_offers

    rows = [
        (name, f"{method.about}; {'any' if method.open_names else 'trained'} names ({method.source})")
        for name, method in declarations().items()
    ]
    chooses = (AUTO, "chooses among these by cross-validation on the training pictures; any names")
    installed = listed_offers("method", (AUTO, *METHODS))
    return [chooses, *rows, *installed, ("file.py:ClassName", "a method of your own")]


def _datasets() -> Rows:
    from vlprompt.data.catalogue import DATASETS, load_dataset
    from vlprompt.data.published.root import data_root
    from vlprompt.data.published.sets import PUBLISHED
    from vlprompt.data.published.state import glance
    from vlprompt.plugins import listed_offers

    def about(classes: int, train: int, test: int, state: str) -> str:
        return f"{classes:,} classes; {train:,} training and {test:,} test pictures; {state}"

    bundled = [load_dataset(name) for name in DATASETS]
    root = data_root()
    return [
        *((one.name, about(len(one.class_names), len(one.train), len(one.test), "bundled")) for one in bundled),
        *(
            (name, about(one.counts.classes, one.counts.train, one.counts.test, glance(one, root).status))
            for name, one in PUBLISHED.items()
        ),
        *listed_offers("data set", (*DATASETS, *PUBLISHED)),
        ("file.py:function", "a data set of your own; so are folders, manifests and split files"),
    ]


def _recipes() -> Rows:
    from vlprompt.methods.declarations import declarations

    return [
        (recipe.name, _recipe(method, recipe))
        for method, declared in declarations().items()
        for recipe in declared.recipes
    ]


def _recipe(method: str, recipe: Recipe) -> str:
    settings = recipe.training
    words = "no training settings"
    if settings:
        length = f"{settings.iterations} iterations" if settings.iterations else f"{settings.epochs} epochs"
        words = f"{length}, batches of {settings.batch_size}"
    return f"{method}: {words}" + (f" ({recipe.source})" if recipe.source else "")


LISTS: dict[str, Callable[[], Rows]] = {
    "methods": _methods,
    "datasets": _datasets,
    "recipes": _recipes,
}
