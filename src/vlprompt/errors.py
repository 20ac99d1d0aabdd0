"""The errors that a user can put right.

Each message is one sentence that names the file or option, its value and what would be right. An argument that would
help is spelled as Python has it, `on_unreadable="skip"`; the command line prints it as an option (`cli.spelling`). It
prints exactly these errors, on stderr, with exit code 2; anything else is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from reprlib import Repr
from typing import Any

from vlprompt.escaping import as_list, for_terminal_lines


class _Short(Repr):
    def repr_int(self, value: int, level: int) -> str:
        """Python itself refuses to print a number of more than 4,300 digits."""
        return repr(value) if value.bit_length() < 200 else f"a number of {round(value.bit_length() * 0.30103)} digits"


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 80


def quoted(value: Any) -> str:
    """A value from a file or an argument as a message shows it: as Python writes it, and never at length."""
    return _SHORT.repr(value)


class VlpromptError(Exception):
    """What every error of this package is."""


class SettingsError(VlpromptError, ValueError):
    """An option has a value that cannot be used."""


class SettingsWarning(UserWarning):
    """A setting that is changed or ignored, because with the others it could not be used as it is."""


class UnknownNameError(SettingsError):
    """A method, backbone, data set, domain or recipe that does not exist."""

    def __init__(self, kind: str, name: Any, known: Iterable[str]) -> None:
        known = list(known)
        by_lower_case = {candidate.lower(): candidate for candidate in known if len(candidate) <= 100}
        asked = name[:100].lower() if isinstance(name, str) else ""
        begun = [name for name in by_lower_case if asked and name.startswith(asked)][:3]
        near = [by_lower_case[match] for match in begun or get_close_matches(asked, by_lower_case, 3, 0.4)]
        if near:
            hint = f"did you mean {' or '.join(near)}?"
        else:
            listed = ", ".join(candidate[:60] for candidate in sorted(known)[:12])
            hint = f"there are {listed}{' and others' if len(known) > 12 else ''}."
        super().__init__(f"there is no {kind} named {quoted(name)}; {hint}")


class DataError(VlpromptError, ValueError):
    """Images, labels or class names that cannot be used."""


class UnknownLabelsWarning(UserWarning):
    """Labels are none of the classes that a classifier knows."""


class FilesLeftOutWarning(UserWarning):
    """Files of a folder that are not taken for pictures."""


class DownloadError(VlpromptError):
    """A file that cannot be downloaded, or is not what it must be."""


class NoNetworkError(DownloadError):
    """Nothing can be downloaded."""


class UnreadableImagesError(DataError):
    """Some images cannot be read; `failures` maps each to its reason."""

    def __init__(self, failures: dict[str, str]) -> None:
        self.failures = failures
        listed = as_list(f"{image}: {reason}" for image, reason in failures.items())
        super().__init__(
            f"{len(failures)} image{'s' if len(failures) > 1 else ''} cannot be read "
            f'(repair or remove, or skip with on_unreadable="skip"):\n{listed}'
        )


class BackboneError(VlpromptError):
    """A backbone that cannot be loaded or does not fit."""


class BackboneWarning(UserWarning):
    """A backbone that loads, but perhaps not as its weights were trained."""


class MethodError(VlpromptError, ValueError):
    """A method of the user's own does not give what its contract promises."""


class ModelFolderError(VlpromptError):
    """A saved model whose folder is incomplete, damaged or foreign."""


class ForeignFileError(VlpromptError):
    """A file that another program wrote and that cannot be read or used."""


class ForeignFileWarning(UserWarning):
    """A file of another program that is used, but perhaps is not what it seems."""


class OutputError(VlpromptError, OSError):
    """The place for the output cannot be written."""


class MissingRequirementError(VlpromptError):
    """A package, memory, disk or a folder that is needed is not there."""


class NonFiniteLossError(VlpromptError):
    """Training met a loss that is not a finite number."""


class NonFiniteLogitsError(VlpromptError):
    """A model answers with what is no finite number."""


class RecordError(VlpromptError):
    """A result record that is missing, damaged or of another version."""


class FailedRunsError(VlpromptError):
    """Some runs of a benchmark failed; the results of the others are kept. `failures` maps each to its reason."""

    def __init__(self, failures: dict[str, str], finished: int, out: object) -> None:
        self.failures = failures
        listed = "\n".join(for_terminal_lines(f"  {run}: {reason}") for run, reason in failures.items())
        super().__init__(
            f"{len(failures)} of {len(failures) + finished} runs failed; the other results are kept in {out}, "
            f"and the same command tries again what is missing:\n{listed}"
        )


class BenchmarkInterrupted(KeyboardInterrupt):
    """Ctrl-C came during a benchmark: a KeyboardInterrupt that says what is kept and how to go on."""


class UnreadableImageError(DataError):
    """One image cannot be read; `image` says which and `reason` why."""

    def __init__(self, image: str, reason: str) -> None:
        self.image = image
        self.reason = reason
        super().__init__(f"{image} cannot be read as an image: {reason}")


class CheckpointError(VlpromptError):
    """A training checkpoint that belongs to another run."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C came during training: a KeyboardInterrupt that knows how to go on.

    Attributes:
        epochs_done: finished epochs, with whose parameters the method is left.
        epochs: epochs of the whole run.
        checkpoint: folder from which the same call goes on; None when there is none.
    """

    def __init__(self, epochs_done: int, epochs: int, checkpoint: Path | None) -> None:
        self.epochs_done = epochs_done
        self.epochs = epochs
        self.checkpoint = checkpoint
        if checkpoint is None:
            onward = "nothing was kept, the same command starts over"
        else:
            onward = f"the same command goes on from {checkpoint}"
        super().__init__(f"training was interrupted after {epochs_done} of {epochs} epochs; {onward}.")
