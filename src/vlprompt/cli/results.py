"""How an evaluation is told: a table and figures on stdout, or sentences on stderr after a fit."""

from __future__ import annotations

from vlprompt.cli.output import note, note_table, print_table
from vlprompt.escaping import for_tsv
from vlprompt.model.cautions import against_what, cautions, confused_pairs
from vlprompt.model.evaluation import ClassResult, Evaluation
from vlprompt.streams import write_results

MOST_CLASSES = 10
"""In the table after a fit, which is read from its end; `evaluate` shows all."""

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
    note(f"{evaluation.accuracy:.1f}% of {_which(evaluation, uses_pictures)} are named right{_how_sure(evaluation)}.")
    for sentence in (against_what(evaluation, uses_pictures), *cautions(evaluation, uses_pictures)):
        if sentence:
            note(sentence)


def note_classes(evaluation: Evaluation) -> None:
    """The classes that are named right least often, and which are taken for which; nothing where all are right."""
    wrong = [entry for entry in evaluation.classes if entry.correct < entry.pictures]
    if evaluation.trained_on or not wrong:
        return
    wrong.sort(key=lambda entry: entry.correct / entry.pictures)
    note_table(CLASS_HEADINGS, [_class_row(entry) for entry in wrong[:MOST_CLASSES]])
    if more := wrong[MOST_CLASSES:]:
        share = 100 * more[0].correct / more[0].pictures
        note(f"{len(more)} more classes have mistakes, and {share:.1f}% or more of their pictures right.")
    if right := len(evaluation.classes) - len(evaluation.untested) - len(wrong):
        note(f"{right} {'class has' if right == 1 else 'classes have'} no mistake.")
    for sentence in confused_pairs(evaluation):
        note(sentence)


def _which(evaluation: Evaluation, uses_pictures: bool) -> str:
    """The pictures that were counted."""
    if evaluation.cross_validated:
        return f"{evaluation.total} training pictures, each held out once (cross-validation),"
    whose = "that it was trained on" if evaluation.trained_on else "that it was not trained on"
    return f"{evaluation.total} pictures {whose if uses_pictures else 'in all'}"


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
