"""The rule of method="auto": of methods that named the same held-out pictures, the first that none clearly beats.

Each candidate is tried on training pictures that were held out (`vlprompt.model.trials`). One picture more that is
named right says nothing, so two candidates count as equal unless the pictures that only one of them names right lie on
one side by more than their standard error (McNemar 1947, one standard error as in Breiman et al. 1984, section 3.4.3).
Held-out pictures are of the same kind as the others. What holds for pictures of another kind, too, goes first, and must
be led by more (`STEADY`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vlprompt.model.evaluation import wilson_interval

if TYPE_CHECKING:
    from torch import Tensor

ENOUGH = 3
"""Pictures a class, on average, from which held-out pictures decide."""

STEADY = "blend"
"""The method that stands for all heads: on pictures of another kind than the training pictures, of which these say
nothing, it is hardly ever far below the best (`vlprompt.methods.blend`)."""

FOR_FEW = STEADY
"""The method for fewer: on the validation pictures of the six bundled data sets, in their own style and two others, it
names 88.6, 85.2 and 61.2% right with one picture a class, where gda, the next best, names 87.5, 84.0 and 61.2, and with
two 93.9, 90.3 and 66.9 where gda names 94.4, 90.9 and 65.7."""

STANDARD_ERRORS = 1.0
"""By how many standard errors a candidate must lead a simpler one."""

STEADY_STANDARD_ERRORS = 3.0
"""By how many another head must lead `STEADY`: what a smaller lead gains on pictures of the same kind is less than what
it loses on others. On validation pictures of 13 draws with 4 to 16 pictures a class, 1 and 2 standard errors lose 0.4
points against the best head in the own style, 0.3 in 3D and 1.5 (at most 5.5) in high contrast; 3 lose 0.5, 0.5 and 0.2
(at most 2.0)."""

WORDS_STANDARD_ERRORS = 0.0
"""By how many a head must lead zero-shot: one picture is enough, and a tie leaves the words. A head holds the words,
too, and a small lead of it is seldom luck: on validation pictures of 144 draws of 3, 5 and 10 classes with 4 or 8
pictures each, asking for one standard error costs 0.92 points in the own style, and this 0.54."""

REFERENCES = ("chance", "largest class")
"""Rows that stand beside the candidates and never win."""


@dataclass(frozen=True, eq=False)
class Trial:
    """How one method did on held-out pictures.

    Attributes:
        method: its name.
        hits: (m,) whether it named each of them right, in one order for all methods; None where it was not tried.
        seconds: that it took.
        note: why it was not tried.
    """

    method: str
    hits: Tensor | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def right(self) -> int:
        """Pictures that it named right."""
        return 0 if self.hits is None else int(self.hits.sum())


@dataclass(frozen=True)
class Row:
    """A line of the table: a candidate, or what it must be held against.

    Attributes:
        method: a method's name, or one of `REFERENCES`.
        accuracy: of the held-out pictures, in percent; None where it was not tried.
        low, high: its 95% interval; None for chance, which has none.
        right, total: pictures, where there were any.
        seconds: that the trial took.
        chosen: whether this is the one.
        note: why it was not tried, or what else there is to know.
    """

    method: str
    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    right: int | None = None
    total: int | None = None
    seconds: float | None = None
    chosen: bool = False
    note: str = ""


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        method: its name.
        why: in one sentence.
        rows: the table: what was tried and what was not, and what both stand beside.
    """

    method: str
    why: str
    rows: tuple[Row, ...]

    def as_dict(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"method": self.method, "why": self.why, "rows": [asdict(row) for row in self.rows]}


def decide(trials: Sequence[Trial], words_standard_errors: float = STANDARD_ERRORS) -> Trial:
    """The simplest of the trials that none clearly beats.

    Args:
        trials: the simplest first; at least one that was tried.
        words_standard_errors: by how many the first, which learned nothing, must be led.
    """
    needed = {trials[0].method: words_standard_errors, STEADY: STEADY_STANDARD_ERRORS}
    tried = [trial for trial in trials if trial.hits is not None]
    best = max(tried, key=lambda trial: trial.right)  # of equal ones the first, which is the simplest
    return next(t for t in tried if not clearly_better(best, t, needed.get(t.method, STANDARD_ERRORS)))


def clearly_better(better: Trial, worse: Trial, standard_errors: float = STANDARD_ERRORS) -> bool:
    """Whether the first names more pictures right than the second, by more than what chance would do."""
    assert better.hits is not None
    assert worse.hits is not None
    lead = better.right - worse.right
    apart = int((better.hits != worse.hits).sum())
    return lead > standard_errors * math.sqrt(apart)


def why_decided(chosen: Trial, trials: Sequence[Trial], pictures: str = "held-out pictures") -> str:
    """The decision in one sentence."""
    assert chosen.hits is not None
    tried = [trial for trial in trials if trial.hits is not None]
    said = f"{chosen.method} names {chosen.right} of {len(chosen.hits)} {pictures} right"
    if len(tried) == 1:
        return f"{said}; nothing else was tried."
    most = max(trial.right for trial in tried)
    if chosen.right < most:
        more = " and ".join(f"{trial.method} {trial.right}" for trial in tried if trial.right > chosen.right)
        return (
            f"{said}; {more}, a lead that so many pictures cannot tell from luck, and {chosen.method} {_merit(chosen)}."
        )
    equal = [trial.method for trial in tried if trial is not chosen and trial.right == most]
    if equal:
        return f"{said}, as {', '.join(equal)} {'do' if len(equal) > 1 else 'does'}, and {_merit(chosen)}."
    return f"{said}, more than any other."


def _merit(chosen: Trial) -> str:
    """Why it goes before what is as good."""
    return "holds better for pictures of another kind" if chosen.method == STEADY else "is simpler"


def table(trials: Sequence[Trial], chosen: str, tests: Sequence[Tensor]) -> tuple[Row, ...]:
    """The rows of all trials, behind chance and the largest class.

    Args:
        tests: the counts (N,) of the pictures of each class that there was to choose from, test by test.
    """
    total = sum(int(counts.sum()) for counts in tests)
    guessed = sum(int(counts.sum()) / len(counts) for counts in tests)
    largest = sum(int(counts.max()) for counts in tests)
    references = (
        Row("chance", round(100 * guessed / total, 3), note="guesses"),
        Row("largest class", *_share(largest, total), note="always names the class with most pictures"),
    )
    return (*references, *(_row(trial, trial.method == chosen) for trial in trials))


def _row(trial: Trial, chosen: bool) -> Row:
    if trial.hits is None or not len(trial.hits):
        return Row(trial.method, chosen=chosen, note=trial.note)
    share = _share(trial.right, len(trial.hits))
    return Row(trial.method, *share, seconds=round(trial.seconds, 3), chosen=chosen, note=trial.note)


def _share(right: int, total: int) -> tuple[float, float, float, int, int]:
    low, high = wilson_interval(right, total)
    return round(100 * right / total, 3), round(low, 3), round(high, 3), right, total


KINDS = ("pictures", "new_names")
"""What a method may be chosen for: the classes trained on, and names without pictures."""

_TEXT, _NUMBER, _COUNT = (str,), (int, float, type(None)), (int, type(None))
_ROW = {
    "method": _TEXT,
    "accuracy": _NUMBER,
    "low": _NUMBER,
    "high": _NUMBER,
    "right": _COUNT,
    "total": _COUNT,
    "seconds": _NUMBER,
    "chosen": (bool,),
    "note": _TEXT,
}


def is_choice(saved: Any) -> bool:
    """Whether it is what `Choice.as_dict` gave, for any of `KINDS`."""
    if not isinstance(saved, dict) or not set(saved) <= set(KINDS):
        return False
    for choice in saved.values():
        if not isinstance(choice, dict) or set(choice) != {"method", "why", "rows"}:
            return False
        if not all(isinstance(choice[name], str) for name in ("method", "why")) or not isinstance(choice["rows"], list):
            return False
        if not all(_is_row(row) for row in choice["rows"]):
            return False
    return True


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or set(row) != set(_ROW):
        return False
    return all(isinstance(row[name], kinds) and _is_small(row[name]) for name, kinds in _ROW.items())


def _is_small(value: Any) -> bool:
    """Compared rather than converted: neither NaN nor a number of a thousand digits passes."""
    return not isinstance(value, int | float) or 0 <= value < 2**53
