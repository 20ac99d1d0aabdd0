"""The trials of method="auto": zero-shot, heads and prompts on training pictures that were held out.

All work on the cached features of the pictures themselves. Heads are tried by stratified cross-validation, in
milliseconds. A prompt takes a hundred times as long and beats no head where every class has pictures: GDA is ahead of
CoOp and CoCoOp at 1, 2, 4, 8 and 16 pictures a class on the average of the 11 published data sets. So a prompt is only
tried where the words are as good as the pictures, or where names without pictures must be served. For these, classes
are held out rather than pictures: a prompt learns one half of the classes and names pictures of the other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, cast

from vlprompt.errors import DataError
from vlprompt.methods import build_method
from vlprompt.methods.declarations import declarations, recipe_for
from vlprompt.methods.folds import stratified_folds
from vlprompt.model.choosing import (
    ENOUGH,
    FOR_FEW,
    STEADY,
    WORDS_STANDARD_ERRORS,
    Choice,
    Trial,
    clearly_better,
    decide,
    table,
    why_decided,
)

if TYPE_CHECKING:
    from torch import Tensor

    from vlprompt.backbones import Backbone
    from vlprompt.methods.method import Method, TrainingSet
    from vlprompt.progress import Board

HEADS = (STEADY, "gda", "linear-probe", "tip-adapter", "lp++")
"""First what holds for other kinds of pictures, too; then from the simplest: closed form, convex, a cache of all
pictures, a descent."""

PROMPTS = ("coop", "kgcoop", "cocoop")
"""From the simplest: one context, one that is held near the words, one for each picture."""

STEPS = {"linear-probe": 5 * 4 * 100, "lp++": 5 * 300, "blend": 5 * (4 + 1) * 100}
"""Of a descent over all pictures in a trial: folds, strengths of the penalty, and steps."""

SECONDS = 120.0
"""The longest that the trial of a head, and those of all prompts, take on the slowest machine that is reckoned with."""

OPERATIONS_A_SECOND = 2e10
"""Of that machine, two cores of a laptop at 40% of their rate. The limit is in operations, not in seconds measured, so
that the same pictures give the same choice on every machine."""

FEWEST_HELD_OUT_CLASSES = 2


@dataclass(frozen=True, eq=False)
class Candidates:
    """The pictures that the choice is made on, and what methods are built from.

    Attributes:
        class_words: what prompts say for the N classes, by label.
        template: of the zero-shot prompt.
        training_set: the pictures' features and labels.
        seed: of folds, initial values and the order of training.
        set_up: the heads that were tried, by name: each has learned from all pictures, too.
    """

    backbone: Backbone
    class_words: Sequence[str]
    template: str
    training_set: TrainingSet
    seed: int
    board: Board | None = None
    one_prompt_allowed: bool = False
    set_up: dict[str, Method] = field(default_factory=dict)

    @property
    def labels(self) -> Tensor:
        """(n,), on the CPU."""
        return self.training_set.labels.cpu()

    def build(self, name: str, class_words: Sequence[str] | None = None) -> Method:
        """A method before it has seen a picture."""
        words = self.class_words if class_words is None else class_words
        options = recipe_for(name).options if name in PROMPTS else None
        return build_method(
            name,
            self.backbone,
            words,
            options=options,
            template=self.template,
            seed=self.seed,
            one_prompt_allowed=self.one_prompt_allowed,
        )


def choose(candidates: Candidates, *, new_names: bool) -> dict[str, Choice]:
    """What serves: "pictures" for the classes trained on, "new_names" for names without pictures, where it was chosen.

    A class of which no picture is left is a name without pictures, too, and nothing else serves then.

    Args:
        new_names: whether names without pictures are asked for.
    """
    missing = len(candidates.class_words) - len(candidates.labels.unique())
    choices = {} if missing else {"pictures": choose_for_pictures(candidates)}
    if new_names or missing:
        choices["new_names"] = choose_for_new_names(candidates)
    return choices


def choose_for_pictures(candidates: Candidates) -> Choice:
    """The method for classes that all have pictures."""
    labels, classes = candidates.labels, len(candidates.class_words)
    per_class, tests = len(labels) / classes, [labels.bincount(minlength=classes)]
    held_out = [look for _, look in stratified_folds(labels, candidates.seed)]
    with _row(candidates, f"choosing among {', '.join(('zero-shot', *HEADS))}", 1 + len(HEADS)) as advance:
        trials = [_words_on(candidates, held_out)]
        for name in HEADS:
            advance()
            trials.append(_head(candidates, name))
    few = per_class < ENOUGH
    if few:
        prompt = Trial("coop", note="not tried: with so few pictures a head is ahead of every prompt (published)")
    elif any(trial.hits is not None and clearly_better(trial, trials[0]) for trial in trials[1:]):
        prompt = Trial("coop", note="not tried: the pictures say more than the words")
    else:
        prompt = _prompt_on_pictures(candidates, "coop")
    trials += [prompt, *_left_out()]
    if few:
        return Choice(FOR_FEW, _why_few(per_class, bool(held_out)), table(trials, FOR_FEW, tests))
    chosen = decide(trials, WORDS_STANDARD_ERRORS)
    return Choice(chosen.method, why_decided(chosen, trials), table(trials, chosen.method, tests))


def choose_for_new_names(candidates: Candidates) -> Choice:
    """The method for names that have no pictures: prompts and zero-shot, on classes that were held out."""
    labels = candidates.labels
    counts = labels.bincount(minlength=len(candidates.class_words))
    present = labels.unique().tolist()
    halves = class_halves(present, candidates.seed)
    if not halves:
        trials = [Trial("zero-shot"), *(Trial(name, note="not tried: too few classes") for name in PROMPTS)]
        why = f"{len(present)} classes with pictures are too few to hold any out, and zero-shot needs no proof."
        return Choice("zero-shot", why, table(trials, "zero-shot", [counts]))
    left = SECONDS
    trials = []
    for name in ("zero-shot", *PROMPTS):
        seconds, shots = _affordable(candidates, name, halves, left)
        if shots is None:
            note = f"not tried: its trial would take {_minutes(seconds)}, and {_minutes(left)} of the time are left"
            trials.append(Trial(name, note=note))
            continue
        left -= seconds
        trials.append(_on_held_out_classes(candidates, name, halves, shots))
    chosen = decide(trials)
    why = why_decided(chosen, trials, "pictures of held-out classes")
    return Choice(chosen.method, why, table(trials, chosen.method, [counts[looked] for _, looked in halves]))


def class_halves(present: Sequence[int], seed: int) -> list[tuple[list[int], list[int]]]:
    """Labels to learn from and to look at, twice: every class is looked at once. None where they are too few."""
    import torch

    if len(present) < 2 * FEWEST_HELD_OUT_CLASSES:
        return []
    order = torch.randperm(len(present), generator=torch.Generator().manual_seed(seed)).tolist()
    middle = (len(present) + 1) // 2
    one, other = (sorted(present[place] for place in part) for part in (order[:middle], order[middle:]))
    return [(one, other), (other, one)]


@contextmanager
def _row(candidates: Candidates, description: str, total: int) -> Iterator[Callable[[], None]]:
    """A row that counts methods, where somebody looks."""
    if candidates.board is None:
        yield lambda: None
        return
    task = candidates.board.task(description, total)
    try:
        yield task.advance
    finally:
        task.close()


def _words_on(candidates: Candidates, held_out: Sequence[Tensor]) -> Trial:
    """Zero-shot on the held-out pictures, or on all where none can be held out: it has learned from none of them."""
    import torch

    started = time.perf_counter()
    places = torch.cat(list(held_out)) if held_out else torch.arange(len(candidates.labels))
    hits = _hits(candidates.build("zero-shot"), candidates.training_set.features[places], candidates.labels[places])
    return Trial("zero-shot", hits, time.perf_counter() - started)


def _head(candidates: Candidates, name: str) -> Trial:
    from vlprompt.methods.head import Head

    started = time.perf_counter()
    size = len(candidates.labels) * len(candidates.class_words) * candidates.backbone.feature_size
    if (seconds := STEPS.get(name, 0) * 4 * size / OPERATIONS_A_SECOND) > SECONDS:
        return Trial(name, note=f"not tried: its trial would take {_minutes(seconds)}, more than {_minutes(SECONDS)}")
    method = cast(Head, candidates.build(name))
    try:
        method.setup(candidates.training_set)
    except DataError as error:
        return Trial(name, note=f"not tried: {error}")
    candidates.set_up[name] = method
    if method.held_out is None:
        return Trial(name, note="not tried: a class needs two pictures before one can be held out")
    return Trial(name, method.held_out.hits, time.perf_counter() - started)


def _prompt_on_pictures(candidates: Candidates, name: str) -> Trial:
    """A prompt, by cross-validation as the heads."""
    import torch

    labels = candidates.labels
    folds = list(stratified_folds(labels, candidates.seed))
    learned = sum(len(learn) for learn, _ in folds)
    seconds = _seconds(candidates, name, len(candidates.class_words), learned, len(folds))
    if seconds > SECONDS:
        return Trial(name, note=f"not tried: its trial would take {_minutes(seconds)}, more than {_minutes(SECONDS)}")
    started = time.perf_counter()
    hits = []
    for learn, look in folds:
        method = _trained(candidates, candidates.build(name), learn, labels[learn])
        hits.append(_hits(method, candidates.training_set.features[look], labels[look]))
    return Trial(name, torch.cat(hits), time.perf_counter() - started)


def _on_held_out_classes(candidates: Candidates, name: str, halves: Sequence[tuple], shots: int) -> Trial:
    """A prompt learns the pictures of some classes and names those of the others, by their names alone."""
    import torch

    started = time.perf_counter()
    hits = []
    for known, unknown in halves:
        method = candidates.build(name, [candidates.class_words[label] for label in known])
        if method.learns:
            places, labels = _pictures_of(candidates.labels, known, shots)
            method = _trained(candidates, method, places, labels)
        method = method.with_class_names([candidates.class_words[label] for label in unknown])
        places, labels = _pictures_of(candidates.labels, unknown, None)
        hits.append(_hits(method, candidates.training_set.features[places], labels))
    return Trial(name, torch.cat(hits), time.perf_counter() - started)


def _pictures_of(labels: Tensor, classes: Sequence[int], most: int | None) -> tuple[Tensor, Tensor]:
    """Places of the classes' pictures, at most so many of each, and their labels counted within the classes."""
    import torch

    places = [(labels == label).nonzero().flatten()[:most] for label in classes]
    counted = torch.arange(len(classes)).repeat_interleave(torch.tensor([len(some) for some in places]))
    return torch.cat(places), counted


def _trained(candidates: Candidates, method: Method, places: Tensor, labels: Tensor) -> Method:
    """The prompt, trained by its recipe on the features of the pictures themselves."""
    from vlprompt.features import CachedViews
    from vlprompt.training import train

    training = recipe_for(method.name).training
    assert training is not None
    features = candidates.training_set.features[places].float().cpu()
    reporter = candidates.board.training(f"trying {method.name}") if candidates.board else None
    settings = replace(training, views=1, seed=candidates.seed)
    train(method, CachedViews(features[:, None]), labels, settings, reporter=reporter)  # type: ignore[arg-type]
    return method


def _hits(method: Method, features: Tensor, labels: Tensor) -> Tensor:
    return method.predict_logits(features).argmax(1).cpu() == labels


def _affordable(candidates: Candidates, name: str, halves: Sequence[tuple], seconds: float) -> tuple[float, int | None]:
    """Seconds that the trial takes, and with how many pictures a class; None where no number of these is affordable."""
    if name == "zero-shot":
        return 0.0, 1
    needed = 0.0
    for shots in (16, 8, 4):
        needed = 0.0
        for known, _ in halves:
            learned = len(_pictures_of(candidates.labels, known, shots)[0])
            needed += _seconds(candidates, name, len(known), learned, 1)
        if needed <= seconds:
            return needed, shots
    return needed, None


def _seconds(candidates: Candidates, name: str, classes: int, pictures: int, trainings: int) -> float:
    """How long training a prompt takes at `OPERATIONS_A_SECOND`, from the operations of its text encodings alone."""
    training = recipe_for(name).training
    assert training is not None
    steps = training.epochs * max(1, -(-pictures // training.batch_size), trainings)
    encodings = steps * classes * (training.batch_size if candidates.build(name).image_conditioned else 1)
    text = sum(weight.numel() for block in candidates.backbone.text.blocks for weight in block.parameters())
    return encodings * TOKENS * 6 * text / OPERATIONS_A_SECOND


TOKENS = 5
"""Of a prompt, on average, that each class has for itself: its name, the full stop, the end."""


def _left_out() -> Iterator[Trial]:
    """The methods of the package that do not compete for classes with pictures, and why."""
    for name, method in declarations().items():
        if name in ("zero-shot", *HEADS, PROMPTS[0]):
            continue
        if method.reads == "pixels":
            why = "encodes pictures in every epoch"
        elif name in PROMPTS:
            why = "for names without pictures (new_names=True)"
        elif method.open_names:
            why = "not among the prompts that are tried"
        else:
            why = "not ahead of gda (published), and slower"
        yield Trial(name, note=f"not tried: {why}")


def _why_few(per_class: float, held_out: bool) -> str:
    little = "held-out pictures say little" if held_out else "no picture can be held out"
    return (
        f"with {per_class:.2g} picture{'' if per_class == 1 else 's'} a class {little}; {FOR_FEW} did best with so few "
        "on the bundled data sets."
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
