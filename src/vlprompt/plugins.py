"""Code that is not vlprompt's own: in a file that the person names, or offered by name by an installed package.

A package offers methods, data sets and backbones as entry points (`GROUPS`). Their names are read from its metadata;
its code is imported when a name is asked for, never before. A name of ours is never replaced.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Container
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions
from pathlib import Path
from typing import Any

from vlprompt.errors import SettingsError, SettingsWarning, quoted

GROUPS = {"method": "vlprompt.methods", "data set": "vlprompt.datasets", "backbone": "vlprompt.backbones"}
"""The entry points of what a package offers, by kind."""


@dataclass(frozen=True)
class Offer:
    """A name that an installed package offers.

    Attributes:
        kind: one of `GROUPS`.
        package: with its version.
    """

    kind: str
    name: str
    package: str
    entry: EntryPoint

    @property
    def fingerprint(self) -> str:
        """By which results of another version of the package are known."""
        return hashlib.sha256(self.package.encode()).hexdigest()

    def load(self) -> Any:
        """What the name stands for; imports the package.

        Raises:
            SettingsError: it cannot be imported, or lacks it.
        """
        try:
            return self.entry.load()
        except (Exception, SystemExit) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else "no reason given"
            raise self.refused(
                f"cannot be loaded from {self.entry.value} ({type(error).__name__}: {reason})"
            ) from error

    def refused(self, why: str) -> SettingsError:
        """The error for an offer that cannot be used, as one sentence that names the package."""
        return SettingsError(
            f"the {self.kind} {self.name} of the installed package {self.package} {why}; mend or uninstall the package."
        )


def offers(kind: str) -> list[Offer]:
    """All offers of a kind in the order of their names, those with names of ours too; nothing is imported."""
    found: dict[tuple[str, str], Offer] = {}
    for distribution in distributions():
        for entry in _entries(distribution, GROUPS[kind]):
            name, version = _named(distribution)
            found.setdefault((entry.name, name.lower()), Offer(kind, entry.name, f"{name} {version}".strip(), entry))
    return [found[key] for key in sorted(found)]


def offer_named(kind: str, name: str) -> Offer | None:
    """The offer of a name; None where there is none.

    Raises:
        SettingsError: several packages offer it.
    """
    found = [offer for offer in offers(kind) if offer.name == name]
    if len(found) > 1:
        packages = " and ".join(offer.package for offer in found)
        raise SettingsError(f"the {kind} {name} is offered by the packages {packages}; uninstall all but one of them.")
    return found[0] if found else None


def offered_names(kind: str, ours: Container[str]) -> list[str]:
    """The names that packages offer beside ours, each once."""
    return list(dict.fromkeys(offer.name for offer in offers(kind) if offer.name not in ours))


def listed_offers(kind: str, ours: Container[str]) -> list[tuple[str, str]]:
    """Names and packages for a list, with a word on those that cannot be asked for."""
    found = offers(kind)
    names = [offer.name for offer in found]
    rows = []
    for offer in found:
        about = f"of the installed package {offer.package}"
        if offer.name in ours:
            about += f"; not used, because vlprompt has a {kind} of this name"
        elif names.count(offer.name) > 1:
            about += "; not used, because another package offers this name, too"
        rows.append((offer.name, about))
    return rows


def is_in_a_file(name: object) -> bool:
    """Whether a name is of the form "path/to/file.py:Name"."""
    return isinstance(name, str) and name.rpartition(":")[0].endswith(".py")


def from_file(kind: str, path: str | Path, name: str) -> Any:
    """What a file of the person's own calls so, or None; the file is run.

    Raises:
        SettingsError: there is no such file, or it cannot be run.
    """
    path = Path(path)
    if not os.path.isfile(path):
        raise SettingsError(f"{kind} {path}:{name}: there is no file {path}.")
    spec = importlib.util.spec_from_file_location(f"vlprompt_user_{kind.replace(' ', '_')}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look their annotations up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise SettingsError(f"{kind} file {path} cannot be run ({type(error).__name__}: {error}).") from error
    return getattr(module, name, None)


def _entries(distribution: Distribution, group: str) -> list[EntryPoint]:
    """Of one package; one whose entry points cannot be read must not stop others.

    Warns:
        SettingsWarning: they cannot, and are meant for us.
    """
    try:
        return [entry for entry in distribution.entry_points if entry.group == group]
    except Exception as error:
        if group in (distribution.read_text("entry_points.txt") or ""):
            package = " ".join(_named(distribution)).strip()
            warnings.warn(
                f"the entry points of the installed package {package} cannot be read ({type(error).__name__}), so that "
                "what it offers is left out; mend or uninstall the package.",
                SettingsWarning,
                stacklevel=4,
            )
        return []


def _named(distribution: Distribution) -> tuple[str, str]:
    """Name and version of a package, as far as its metadata say."""
    try:
        metadata: Any = distribution.metadata
        return str(metadata["Name"] or "unnamed"), str(metadata["Version"] or "")
    except Exception as error:
        return f"with unreadable metadata ({quoted(str(error))})", ""
