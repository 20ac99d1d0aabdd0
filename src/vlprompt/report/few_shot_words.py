"""What few-shot figures say, in words that follow from the figures, whatever they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vlprompt.escaping import for_terminal
from vlprompt.report.captions import and_list, counted
from vlprompt.report.estimates import INTERVALS
from vlprompt.report.few_shot import ENOUGH_DATA_SETS, OWN_STYLE, FewShotSummary, Kind, mean_regret
from vlprompt.report.headline import Headline, method_name

STYLES = {"3d": "3D", "high-contrast": "high contrast"}
"""How tests in another style than the training pictures' are called."""
SPREAD = "±sets"
KINDS: dict[Kind, str] = {"head": "the best head", "prompt": "the best prompt", "zero-shot": ""}


def test_title(summary: FewShotSummary, test: str) -> str:
    """What a test is: the own style is called so only where there are others."""
    if test == OWN_STYLE:
        return "own style" if len(summary.tests) > 1 else "test pictures"
    return STYLES.get(test, for_terminal(test))


def few_shot_headline(summary: FewShotSummary) -> Headline:
    """The best method with the most pictures against the best of another kind, and what stands beside it."""
    test, shots = main_setting(summary)
    ranked = summary.methods_at(test, shots, "zero-shot", "prompt", "head")
    if not ranked:
        return Headline("The methods have no data set in common yet", ())
    support = [
        _kinds_words(summary, test, shots),
        *_crossing_words(summary, test),
        *_styles_words(summary, shots),
        *_below_words(summary),
        *_auto_words(summary),
    ]
    return Headline(_title(summary, test, shots, ranked), tuple(support))


def serves(summary: FewShotSummary, test: str, shots: int, name: Callable[[str], str] = method_name) -> str:
    """The methods that serve best: the first, and those that do not clearly differ from it.

    Args:
        name: gives a method's name to show.
    """
    leaders = summary.leaders(test, shots)
    if not leaders:
        return "-"
    if 1 < len(leaders) == len(summary.methods_at(test, shots, "zero-shot", "prompt", "head")):
        return f"{name(leaders[0])} (not clear)"
    shown = leaders if len(leaders) <= 3 else leaders[:2]
    rest = f" and {len(leaders) - len(shown)} more" if len(leaders) > len(shown) else ""
    return ", ".join(name(method) for method in shown) + rest


def few_shot_caption(summary: FewShotSummary, *, bold: bool = True, spread: bool = True) -> str:
    """The words under the tables.

    Args:
        bold: whether bold letters will be seen as such.
        spread: whether the table has the data sets' deviation.
    """
    averaged = max(map(len, summary.averaged.values()))
    over = "data sets" if averaged >= ENOUGH_DATA_SETS else "seeds"
    single = any(len(summary.leaders(test, shots)) == 1 for test in summary.tests for shots in summary.shots)
    sentences = [
        f"Accuracy in percent on test images of all classes; {summary.backbone}, {setting(summary)}: "
        f"{_interval_words(summary)}.",
        _over_words(summary),
        f"{SPREAD}: standard deviation of the data sets' means, with most shots." if spread and averaged > 1 else "",
        f"Two methods differ clearly where the 95% interval of their difference over {over} does not hold 0.",
        "Bold: clearly better than all others but auto, which chooses among them." if bold and single else "",
    ]
    return " ".join(filter(None, sentences))


def setting(summary: FewShotSummary) -> str:
    """Shots and seeds."""
    if not summary.seeds:
        return "no shots and no seeds"
    shots = f"{', '.join(map(str, summary.shots))} shot{'' if summary.shots == (1,) else 's'}"
    least, most = _seed_counts(summary)
    return f"{shots}, {counted(most, 'seed') if least == most else f'{least} to {most} seeds'}"


def main_setting(summary: FewShotSummary) -> tuple[str, int]:
    """The own style, or whatever test is there, and the largest number of shots of several kinds of method."""
    test = OWN_STYLE if OWN_STYLE in summary.tests else summary.tests[0]
    kinds = {n: {summary.kinds[m] for m in summary.methods_at(test, n)} for n in summary.shots}
    return test, max(summary.shots, key=lambda shots: (len(kinds[shots] - {"auto"}), shots))


def _title(summary: FewShotSummary, test: str, shots: int, ranked: Sequence[str]) -> str:
    best, kind = ranked[0], summary.kinds[ranked[0]]
    with_pictures = f"with {pictures(shots)} of every class"
    rival = next((method for method in ranked if summary.kinds[method] != kind), None)
    if rival is None:
        return f"{_name(best)} names {_mean(summary, test, best, shots):.1f}% right {with_pictures}"
    difference = summary.differences[test, shots, best, rival]
    rival_words = ", ".join(filter(None, [method_name(rival), KINDS[summary.kinds[rival]]]))
    if difference.half_width is None:
        points = f"{difference.mean:.1f} points ahead of"
        return f"{_name(best)} is {points} {rival_words}, {with_pictures}, from a single seed"
    if not summary.is_clear(test, shots, best, rival):
        return f"{_name(best)} and {rival_words} do not differ clearly {with_pictures}"
    comma = "," if KINDS[summary.kinds[rival]] else ""
    return f"{_name(best)} is {difference.mean:.1f} points better than {rival_words}{comma} {with_pictures}"


def _kinds_words(summary: FewShotSummary, test: str, shots: int) -> str:
    count = len(summary.averaged[test])
    sets = f"Averaged over {count} data sets" if count > 1 else f"On {summary.averaged[test][0]}"
    return (
        f"{sets}, {test_title(summary, test)}, with {pictures(shots)} a class: {_best_of_kinds(summary, test, shots)}."
    )


def _best_of_kinds(summary: FewShotSummary, test: str, shots: int, *, told: bool = True) -> str:
    """The best of each kind with its figure; `told`: which kind it is."""
    parts = []
    kinds: tuple[Kind, ...] = ("head", "prompt", "auto", "zero-shot")
    for kind in kinds:
        for method in summary.methods_at(test, shots, kind)[:1]:
            words = f"{method_name(method)} {_mean(summary, test, method, shots):.1f}%"
            parts.append(f"{KINDS[kind]} {words}" if told and KINDS.get(kind) else words)
    return ", ".join(parts)


def _crossing_words(summary: FewShotSummary, test: str) -> list[str]:
    """With how many pictures the best head is ahead of the best prompt, and the other way round."""
    ahead: dict[Kind, list[int]] = {"head": [], "prompt": []}
    for shots in summary.shots:
        ranked = summary.methods_at(test, shots, "head", "prompt")
        if {summary.kinds[method] for method in ranked} == {"head", "prompt"}:
            ahead[summary.kinds[ranked[0]]].append(shots)
    both = [*ahead["head"], *ahead["prompt"]]
    if len(both) < 2:
        return []
    pairs: tuple[tuple[Kind, Kind], ...] = (("head", "prompt"), ("prompt", "head"))
    for kind, other in pairs:
        if len(ahead[kind]) == len(both):
            numbers = and_list([str(shots) for shots in sorted(both)])
            return [f"{KINDS[kind].capitalize()} is ahead of {KINDS[other]} with {numbers} pictures a class."]
    return [
        f"The best head is ahead of the best prompt with {and_list([str(n) for n in ahead['head']])} pictures a class, "
        f"and the best prompt with {and_list([str(n) for n in ahead['prompt']])}."
    ]


def _styles_words(summary: FewShotSummary, shots: int) -> list[str]:
    """The other styles, with the same pictures."""
    parts = [
        f"{test_title(summary, test)}: {_best_of_kinds(summary, test, shots, told=False)}"
        for test in summary.tests
        if test != OWN_STYLE and summary.methods_at(test, shots)
    ]
    if not parts or OWN_STYLE not in summary.tests:
        return []
    return [f"In styles that no training picture has, {'; '.join(parts)}."]


def _below_words(summary: FewShotSummary) -> list[str]:
    """Methods that training made clearly worse than not training at all, anywhere."""
    places: dict[str, list[str]] = {}
    zero_shot = next((method for method in summary.methods if summary.kinds[method] == "zero-shot"), "")
    for method in summary.methods:
        for test in summary.tests:
            worse = [shots for shots in summary.shots if _is_worse(summary, test, shots, method, zero_shot)]
            if worse:
                numbers = and_list([str(shots) for shots in worse])
                places.setdefault(method, []).append(f"{test_title(summary, test)}: {numbers}")
    if not places:
        return []
    listed = ", ".join(f"{method_name(method)} ({'; '.join(where)})" for method, where in places.items())
    return [f"Clearly below {method_name(zero_shot)}, with so many training pictures a class: {listed}."]


def _is_worse(summary: FewShotSummary, test: str, shots: int, method: str, zero_shot: str) -> bool:
    if (test, shots, method, zero_shot) not in summary.differences or method == zero_shot:
        return False
    return summary.differences[test, shots, method, zero_shot].high < 0


def _auto_words(summary: FewShotSummary) -> list[str]:
    """How far auto is from the best method, which nobody knows beforehand."""
    regrets = {test: found for test in summary.tests if (found := mean_regret(summary, test))}
    if not regrets:
        return []
    parts = [f"{mean:.1f} and {most:.1f} ({test_title(summary, test)})" for test, (mean, most) in regrets.items()]
    return [
        "auto chooses by cross-validation on the training pictures; below the method that turns out best for a data "
        f"set and seed it is, in points on average and at most, {and_list(parts)}."
    ]


def _interval_words(summary: FewShotSummary) -> str:
    if not summary.seeds:
        return "nothing is learned, so each number is one result"
    least, most = _seed_counts(summary)
    if most < 2:
        return "one seed has no interval"
    return f"{INTERVALS[summary.interval]}{', where there are two seeds or more' if least < 2 else ''}"


def _seed_counts(summary: FewShotSummary) -> tuple[int, int]:
    """The least and the most seeds of a figure that is shown."""
    counts = [
        figure.mean.count for (_, _, method, _), figure in summary.cells.items() if summary.kinds[method] != "zero-shot"
    ]
    return min(counts), max(counts)


def _over_words(summary: FewShotSummary) -> str:
    """What averages are over, where that is not all data sets."""
    fewer = {test: found for test, found in summary.averaged.items() if len(found) < len(summary.datasets)}
    if not fewer:
        return f"Averages over {len(summary.datasets)} data sets." if len(summary.datasets) > 1 else ""
    counts = {len(found) for found in summary.averaged.values()}
    each = [f"{len(found)} ({test_title(summary, test)})" for test, found in summary.averaged.items()]
    listed = str(*counts) if len(counts) == 1 else and_list(each)
    return f"Averages over {listed} of {len(summary.datasets)} data sets, those that every method has results for."


def _mean(summary: FewShotSummary, test: str, method: str, shots: int) -> float:
    return summary.averages[test, method, shots].mean.mean


def _name(method: str) -> str:
    """A method's name at the start of a sentence."""
    name = method_name(method)
    return name[0].upper() + name[1:] if name.startswith("zero-shot") else name


def pictures(number: int) -> str:
    """So many pictures, in words."""
    return counted(number, "picture")
