"""How an evaluation is told: a table and figures on stdout, or sentences on stderr after a fit."""

from __future__ import annotations

from vlprompt.cli.output import note, print_table
from vlprompt.escaping import for_tsv
from vlprompt.model.cautions import against_what, cautions
from vlprompt.model.evaluation import ClassResult, Evaluation
from vlprompt.streams import write_results

CLASS_HEADINGS = ("class", "pictures", "accuracy %", "most often taken for")


def print_evaluation(evaluation: Evaluation, uses_pictures: bool) -> None:
    """The classes as a table with headings, and the figures of all of them one a line; what they mean on stderr."""
    print_table(CLASS_HEADINGS, [_class_row(entry) for entry in evaluation.classes], headings_in_pipes=True)
    lines = ["\t".join([name, *map(for_tsv, values)]) for name, *values in _figures(evaluation)]
    write_results("\n" + "\n".join(lines) + "\n")
    for sentence in cautions(evaluation, uses_pictures):
        note(sentence)


def note_evaluation(evaluation: Evaluation, uses_pictures: bool) -> None:
    """The result of a fit in sentences."""
    whose = "that it was trained on" if evaluation.trained_on else "that it was not trained on"
    note(
        f"{evaluation.accuracy:.1f}% of {evaluation.total} pictures {whose if uses_pictures else 'in all'} are named "
        f"right{_how_sure(evaluation)}."
    )
    for sentence in (against_what(evaluation, uses_pictures), *cautions(evaluation, uses_pictures)):
        if sentence:
            note(sentence)


def _how_sure(evaluation: Evaluation) -> str:
    """The interval and, where the classes are uneven, the balanced accuracy."""
    words = []
    if evaluation.interval is not None and not evaluation.trained_on:
        words.append("95% interval {:.1f} to {:.1f}".format(*evaluation.interval))
    if evaluation.balanced_accuracy is not None:
        words.append(f"balanced accuracy {evaluation.balanced_accuracy:.1f}%")
    return f" ({'; '.join(words)})" if words else ""


def _class_row(entry: ClassResult) -> tuple[str, str, str, str]:
    share = f"{100 * entry.correct / entry.pictures:.1f}" if entry.pictures else "-"
    wrong = f"{entry.mistaken_for} ({entry.mistakes})" if entry.mistaken_for is not None else "-"
    return entry.name, str(entry.pictures), share, wrong


def _figures(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """Name and values of each figure, in the order of their weight."""
    rows: list[tuple[str, ...]] = [("accuracy", f"{evaluation.accuracy:.2f}")]
    if evaluation.interval is not None:
        rows.append(("95% interval", *(f"{end:.2f}" for end in evaluation.interval)))
    shares = (
        ("balanced accuracy", evaluation.balanced_accuracy),
        ("macro F1", evaluation.macro_f1),
        ("zero-shot accuracy", evaluation.zero_shot),
        ("zero-shot balanced accuracy", evaluation.zero_shot_balanced),
        ("chance", evaluation.chance),
    )
    rows += [(name, f"{share:.2f}") for name, share in shares if share is not None]
    if evaluation.majority is not None:
        rows.append(("most frequent class", f"{evaluation.majority:.2f}", str(evaluation.majority_class)))
    return [*rows, ("correct", f"{evaluation.correct} of {evaluation.total}")]
