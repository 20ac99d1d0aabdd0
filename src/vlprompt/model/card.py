"""The README.md of a saved model: what it was made from, how, how good it is, and how to use it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vlprompt.escaping import for_markdown, for_markdown_code
from vlprompt.methods import METHODS
from vlprompt.methods.declarations import declaration, title_of
from vlprompt.model.cautions import DRAWINGS_ONLY, cautions, untested_words
from vlprompt.model.description import SavedModel
from vlprompt.model.evaluation import Evaluation

RESULT_COLUMNS = (
    "accuracy (%)",
    "95% interval",
    "balanced accuracy (%)",
    "macro F1 (%)",
    "zero-shot on the same (%)",
    "always the most frequent class (%)",
    "chance (%)",
    "pictures",
)
"""Of a card's results, behind what was evaluated on."""
PACKAGES = ("vlprompt", "torch", "open_clip_torch", "numpy", "pillow")


NOT_SHOWN = ("data", "image_keys", "losses", "parameters", "choice")
"""Of the record of the training: long, said elsewhere in the card, or for `PromptClassifier.load` alone."""


def package_versions() -> dict[str, str]:
    """Versions of Python and of what decides results, by name."""
    import platform

    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def model_card(model: SavedModel) -> str:
    """The card as Markdown."""
    data = model.training.get("data", {})
    sections = [
        f"# {for_markdown(title_of(model.method))} on {for_markdown(str(data.get('name', 'your pictures')))}",
        f"A classifier of {len(model.class_names)} classes: {_prompts(model)} for the frozen backbone "
        f"{for_markdown_code(model.backbone)}, whose weights are not in this folder. Made by vlprompt.",
        "## Use\n" + _use(model),
        "## Results\n" + _results(model),
        *_choices(model),
        "## Data\n" + _items(_data(data)),
        "## Training\n" + _items(_training(model)),
        "## Classes\n" + ", ".join(_class_entry(name, model.class_words.get(name)) for name in model.class_names),
    ]
    return "\n\n".join(sections) + "\n"


CHOICES = {
    "pictures": "For the classes trained on, by cross-validation on their pictures",
    "new_names": "For names without pictures, on the pictures of classes that were held out",
}


def _choices(model: SavedModel) -> list[str]:
    """What competed, what was chosen and why, where it was left to `auto`."""
    lines = []
    for what, choice in model.training.get("choice", {}).items():
        lines += [f"{CHOICES[what]}: {for_markdown(choice['why'])}", ""]
        lines += ["| method | right (%) | 95% interval | seconds | |", "| --- | --- | --- | --- | --- |"]
        lines += [f"| {' | '.join(_choice_row(row))} |" for row in choice["rows"]] + [""]
    if not lines:
        return []
    return ["\n".join(["## Choice of the method", *lines]).rstrip()]


def _choice_row(row: dict[str, Any]) -> list[str]:
    known = [
        "-" if row[name] is None else f"{row[name]:.{digits}f}" for name, digits in (("accuracy", 1), ("seconds", 2))
    ]
    interval = "-" if row["low"] is None or row["high"] is None else f"{row['low']:.1f} to {row['high']:.1f}"
    remark = "; ".join(words for words in ("chosen" if row["chosen"] else "", row["note"]) if words)
    return [for_markdown(row["method"]), known[0], interval, known[1], for_markdown(remark)]


def _prompts(model: SavedModel) -> str:
    """What the classes are told apart by; a zero-shot model has learned nothing."""
    if model.new_names is not None:
        return (
            f"{for_markdown(title_of(model.method))} for the classes trained on and, as soon as one name is none of "
            f"these, {for_markdown(title_of(str(model.new_names['method'])))}"
        )
    if model.method in METHODS and not declaration(model.method).uses_pictures:
        return "prompts of a template, in which nothing is learned,"
    return f"what {for_markdown(title_of(model.method))} learned"


def _use(model: SavedModel) -> str:
    argument, command = "", "```sh\nvlprompt predict THIS_FOLDER picture.png\n```"
    if model.method_file_hash is not None:  # a folder alone never decides which code is run
        argument = ', method="path/to/file.py:ClassName"'
        command = "```sh\nvlprompt predict THIS_FOLDER picture.png --method path/to/file.py:ClassName\n```"
    return (
        "```python\nfrom vlprompt import PromptClassifier\n\n"
        f'classifier = PromptClassifier.load("this folder"{argument})\n'
        'classifier.predict(["picture.png"])\n```\n\n' + command
    )


def _results(model: SavedModel) -> str:
    """A row an evaluation, then what keeps each from being taken for more than it is."""
    lines = ["| on | " + " | ".join(RESULT_COLUMNS) + " |", "| --- |" + " --- |" * len(RESULT_COLUMNS)]
    remarks = []
    uses_pictures = "images" in model.training  # all that uses pictures has their number recorded
    for name, values in model.evaluation.items():
        result = Evaluation.from_dict(values)
        lines.append(f"| {for_markdown(name)} | " + " | ".join(_result_row(result)) + " |")
        found = cautions(result, uses_pictures)
        if result.untested:
            found.append(untested_words(result.untested, len(result.classes)))
        remarks += [for_markdown(f"On {name}: {sentence}") for sentence in found]
    if model.training.get("data", {}).get("bundled") == "" and model.backbone == "mini":
        remarks.append(for_markdown(DRAWINGS_ONLY))
    table = "\n".join(lines) if model.evaluation else "Not evaluated."
    return "\n\n".join([table, "\n".join(f"- {remark}" for remark in remarks)]) if remarks else table


def _result_row(result: Evaluation) -> list[str]:
    """The cells of an evaluation, as `RESULT_COLUMNS`; a dash for what an older version did not measure."""
    low, high = result.interval or (None, None)
    shares = (result.balanced_accuracy, result.macro_f1, result.zero_shot, result.majority, result.chance)
    return [
        f"{result.accuracy:.2f}",
        "-" if low is None else f"{low:.1f} to {high:.1f}",
        *("-" if share is None else f"{share:.2f}" for share in shares),
        str(result.total),
    ]


def _data(data: dict[str, Any]) -> dict[str, Any]:
    """What is recorded of the data, without what is empty."""
    return {name: value for name, value in data.items() if value != ""}


def _training(model: SavedModel) -> dict[str, Any]:
    record = {key: value for key, value in model.training.items() if key not in NOT_SHOWN}
    losses = model.training.get("losses")
    if losses:
        record["loss"] = f"{losses[0]:.4f} in the first epoch, {losses[-1]:.4f} in the last"
    if model.screening:
        record["screening"] = (
            f"encodes each picture's best {model.screening['candidates']} of {len(model.class_names)} classes, among "
            f"which the exact winner was on {model.screening['agreement']:.1%} of {model.screening['images']} training "
            "images"
        )
    return {"backbone fingerprint": model.fingerprint, "template": model.template, "options": model.options, **record}


def _class_entry(name: str, words: str | None) -> str:
    """A class by its name, with what prompts say for it where that is something else."""
    return for_markdown(name if words is None else f"{name} (in prompts: {words})")


def _items(values: dict[str, Any]) -> str:
    lines = []
    for key, value in values.items():
        if isinstance(value, dict):
            value = ", ".join(f"{name} {entry}" for name, entry in value.items())
        lines.append(f"- {for_markdown(key.replace('_', ' '))}: {for_markdown(str(value))}")
    return "\n".join(lines) or "Nothing recorded."
