"""What keeps a result from being taken for more than it is, in one sentence each, for terminal, JSON and card."""

from __future__ import annotations

from vlprompt.model.evaluation import Evaluation
from vlprompt.wording import some_of

DRAWINGS_ONLY = (
    "mini was pre-trained on drawings of about a thousand things and knows no photographs; for real photographs fit "
    'with backbone="ViT-B-16/openai" (vlprompt list backbones has more).'
)


class DrawingsOnlyWarning(UserWarning):
    """The bundled model is used on pictures that are not known to be drawings."""


def knows_only_drawings(backbone: str, bundled: str) -> bool:
    """Whether the backbone may be out of its depth: `mini`, on pictures of no bundled data set."""
    return backbone == "mini" and not bundled


def against_what(evaluation: Evaluation, uses_pictures: bool = True) -> str:
    """What the accuracy is to be held against, in one sentence; empty where an older version did not measure it."""
    if evaluation.chance is None or evaluation.majority is None:
        return ""
    parts = []
    if evaluation.zero_shot is not None and uses_pictures:
        balanced = f" (balanced {evaluation.zero_shot_balanced:.1f}%)" if evaluation.uneven else ""
        parts.append(f"zero-shot, without training, {evaluation.zero_shot:.1f}%{balanced}")
    if evaluation.majority > evaluation.chance + 0.05:
        parts.append(f"always {evaluation.majority_class!r}, the most frequent, {evaluation.majority:.1f}%")
    parts.append(f"guessing among {len(evaluation.classes)} classes (chance) {evaluation.chance:.1f}%")
    return f"On the same pictures: {'; '.join(parts)}."


def cautions(evaluation: Evaluation, uses_pictures: bool) -> list[str]:
    """What must be known of a result so that it does not mislead; nothing where it is plainly better than no training.

    Classes without a picture are `untested_words`'s.

    Args:
        uses_pictures: whether the method was trained; a zero-shot result is not held against itself.
    """
    if evaluation.trained_on:
        return [
            "These are the pictures that it was trained on, which flatters it: keep some in a test folder, or train on "
            "fewer shots, to learn how good it is on others."
        ]
    found = [_not_above_zero_shot(evaluation) if uses_pictures else "", _not_above_chance(evaluation)]
    if uses_pictures:
        found.append(_rare_classes_lost(evaluation))
    return [sentence for sentence in found if sentence]


MOST_PAIRS = 3
"""Of classes that are taken for one another; more would not be read."""

FEWEST_MISTAKES = 2
"""Of one kind: a single picture says nothing of its class."""


def confused_pairs(evaluation: Evaluation) -> list[str]:
    """The classes of which most pictures are taken for one other, a sentence each, the worst first."""
    worst = sorted(evaluation.classes, key=lambda entry: (-entry.mistakes, entry.name))[:MOST_PAIRS]
    return [
        f"{entry.mistakes} of {entry.pictures} pictures of {entry.name!r} are taken for {entry.mistaken_for!r}: check "
        "their labels; if they are right, more pictures of both classes help most."
        for entry in worst
        if entry.mistakes >= FEWEST_MISTAKES
    ]


def untested_words(untested: list[str], classes: int) -> str:
    """Which classes the result says nothing of."""
    verbs = "has no picture in this test and counts" if len(untested) == 1 else "have no picture in this test and count"
    return f"{len(untested)} of {classes} classes {verbs} nowhere: {some_of(untested)}."


def _not_above_zero_shot(evaluation: Evaluation) -> str:
    zero_shot, interval = evaluation.zero_shot, evaluation.interval
    if zero_shot is None or interval is None or interval[0] > zero_shot:
        return ""
    figures = (
        f"({evaluation.accuracy:.1f}%, 95% interval {interval[0]:.1f} to {interval[1]:.1f}, against {zero_shot:.1f}%)"
    )
    if evaluation.accuracy > zero_shot:
        return (
            f"The trained model is not clearly better than zero-shot {figures}: only more test pictures can tell; more "
            "training pictures a class may widen the difference."
        )
    how = "worse than" if interval[1] < zero_shot else "no better than"
    return (
        f"The trained model is {how} zero-shot {figures}: use method='zero-shot', or train on more pictures a class, "
        "with another recipe or on another backbone."
    )


def _not_above_chance(evaluation: Evaluation) -> str:
    interval, chance, majority = evaluation.interval, evaluation.chance, evaluation.majority
    if interval is None or chance is None or majority is None or interval[0] > majority:
        return ""
    if majority > chance + 0.05:
        what = f"always naming {evaluation.majority_class!r} ({majority:.1f}%)"
    else:
        what = f"guessing ({chance:.1f}%)"
    how = "worse than" if interval[1] < majority else "not clearly better than"
    sentence = f"The accuracy is {how} {what}"
    balanced = evaluation.balanced_accuracy
    if evaluation.uneven and balanced is not None and balanced > chance:
        return (
            f"{sentence}; with classes as uneven as these, go by the balanced accuracy ({balanced:.1f}%, chance "
            f"{chance:.1f}%)."
        )
    if evaluation.accuracy > majority:
        return f"{sentence}: {evaluation.total} test pictures are too few to tell."
    return f"{sentence}: check that the labels are right, give the classes better words, or take another backbone."


def _rare_classes_lost(evaluation: Evaluation) -> str:
    """The accuracy rose and the balanced one fell: the training has learned which classes are frequent."""
    balanced, before = evaluation.balanced_accuracy, evaluation.zero_shot_balanced
    if balanced is None or before is None or balanced >= before or evaluation.accuracy <= (evaluation.zero_shot or 0):
        return ""
    return (
        f"Over the classes it is worse than zero-shot (balanced accuracy {balanced:.1f}% against {before:.1f}%): the "
        "rare classes lose; the table of vlprompt evaluate shows which."
    )


def drawn_words(drawn: int, available: int, shots: int | None) -> str:
    """How many of the training pictures are used, and how to use all."""
    if shots is None or drawn == available:
        return f"It was trained on all {available} training pictures."
    return f"It was trained on {drawn} of {available} training pictures, at most {shots} a class (shots=None: on all)."
