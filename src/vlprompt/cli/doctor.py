"""doctor: what is installed, what the machine can do, and what a backbone would need of it."""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jsonargparse import Namespace

from vlprompt import __version__
from vlprompt.cli.output import note, print_json, print_table
from vlprompt.errors import MissingRequirementError, UnknownNameError

if TYPE_CHECKING:
    from vlprompt.backbones.listing import ListedBackbone

BYTES_PER_PARAMETER = 4
"""fp32."""
LITTLE_DISK = 2_000_000_000
EXTRAS = {
    "hf": "towers and tokenizers of the transformers package, and pictures of hub data sets",
    "heic": "HEIC pictures, as telephones take them",
    "slurm": "benchmarks as arrays of Slurm jobs",
}
PACKAGES_OF = {"hf": ("transformers", "sentencepiece"), "heic": ("pillow-heif",), "slurm": ("submitit",)}
State = Literal["ok", "note", "missing"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state: "ok", "note" for what works but limits, "missing" for what has to be put right.
        advice: what to do, "" where there is nothing to do.
    """

    about: str
    state: State
    found: str
    advice: str = ""


def doctor(options: Namespace) -> None:
    """Print what was found; anything missing is an error at the end.

    Raises:
        UnknownNameError: no such backbone is listed.
        MissingRequirementError: something that is needed is missing.
    """
    findings = [*_packages(), *_extras(), *_machine(), *_folders(), *_backbones(options.backbone)]
    if options.json:
        print_json([asdict(finding) for finding in findings])
    else:
        print_table(
            ("", "what", "found", "what to do"),
            [(finding.state, finding.about, finding.found, finding.advice) for finding in findings],
        )
    missing = [finding.about for finding in findings if finding.state == "missing"]
    if missing:
        raise MissingRequirementError(f"missing: {', '.join(missing)}; what to do stands in the table.")
    note("Nothing that is needed is missing.")


def _packages() -> Iterator[Finding]:
    yield Finding("vlprompt", "ok", f"{__version__} on Python {platform.python_version()}, {platform.platform()}")
    for requirement in requires("vlprompt") or ():
        if "extra ==" in requirement:
            continue
        name, wanted = re.match(r"([\w.-]+)(.*)", requirement).groups()  # type: ignore[union-attr]
        yield _package(name, wanted.strip())


def _package(name: str, wanted: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, "missing", "not installed", f"pip install '{name}{wanted}'")
    if not SpecifierSet(wanted).contains(found, prereleases=True):
        return Finding(name, "missing", f"{found}, where {wanted} is needed", f"pip install '{name}{wanted}'")
    return Finding(name, "ok", found)


def _extras() -> Iterator[Finding]:
    for extra, serves in EXTRAS.items():
        absent = [name for name in PACKAGES_OF[extra] if not _installed(name)]
        if absent:
            found = f"not installed: {', '.join(absent)} ({serves})"
            yield Finding(f"extra {extra}", "note", found, f"pip install 'vlprompt[{extra}]' where you need it")
        else:
            yield Finding(f"extra {extra}", "ok", f"installed ({serves})")


def _installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def _machine() -> Iterator[Finding]:
    import psutil
    import torch

    memory = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("processor", "ok", f"{cores} cores for this process, torch computes on {torch.get_num_threads()}")
    yield Finding("memory", "ok", f"{_gigabytes(memory.available)} free of {_gigabytes(memory.total)}")
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            yield Finding(f"cuda:{number}", "ok", f"{facts.name}, {_gigabytes(facts.total_memory)}")
    elif torch.backends.mps.is_available():
        yield Finding("mps", "ok", "Apple's GPU", "--device mps")
    else:
        yield Finding("GPU", "note", "none that torch can use; everything runs on the processor")


def _folders() -> Iterator[Finding]:
    from vlprompt.features.cache import cache_folder

    for about, folder in (("feature cache", cache_folder()), ("weights' cache", _weights_folder())):
        there = _nearest_that_exists(folder)
        free = shutil.disk_usage(there).free
        if not os.access(there, os.W_OK):
            advice = "make it writable, or set VLPROMPT_CACHE" if about == "feature cache" else "make it writable"
            yield Finding(about, "missing", f"{folder} cannot be written", advice)
        elif free < LITTLE_DISK:
            yield Finding(about, "note", f"{folder}, {_gigabytes(free)} free", "free some space on its disk")
        else:
            yield Finding(about, "ok", f"{folder}, {_gigabytes(free)} free")


def _nearest_that_exists(folder: Path) -> Path:
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def _weights_folder() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _backbones(asked: str | None) -> Iterator[Finding]:
    from vlprompt.backbones import listed_backbones

    listed = listed_backbones()
    if asked is None:
        here = [entry.name for entry in listed if entry.here]
        yield Finding("backbones", "ok", f"{len(here)} of {len(listed)} have their weights here: {', '.join(here[:8])}")
        return
    entry = {entry.name: entry for entry in listed}.get(asked)
    if entry is None:
        raise UnknownNameError("backbone", asked, [entry.name for entry in listed])
    yield from _needs_of(entry)


def _needs_of(entry: ListedBackbone) -> Iterator[Finding]:
    import psutil

    about = f"backbone {entry.name}"
    if entry.here:
        yield Finding(about, "ok", "its weights are here")
    else:
        yield Finding(about, "note", "its weights are not here", "they are downloaded at the first use")
    if entry.needs and not _installed("transformers"):
        yield Finding(about, "missing", f"needs {entry.needs}", f"pip install '{entry.needs}'")
    if entry.parameters is None:
        return
    size, free = entry.parameters * BYTES_PER_PARAMETER, psutil.virtual_memory().available
    words = f"{_gigabytes(size)} of memory for its weights, and more for a batch of pictures"
    if free < size:
        yield Finding(about, "missing", f"{words}, and {_gigabytes(free)} are free", "take a smaller backbone")
    else:
        yield Finding(about, "ok", words)
    disk = shutil.disk_usage(_nearest_that_exists(_weights_folder())).free
    if not entry.here and disk < size:
        yield Finding(about, "missing", f"{_gigabytes(disk)} of disk for {_gigabytes(size)}", "free some space")


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.1f} GB"
