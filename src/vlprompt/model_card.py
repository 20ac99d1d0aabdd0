"""The README.md of a saved model: what it was made from, how, how good it is, and how to use it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from vlprompt.escaping import for_markdown, for_markdown_code
from vlprompt.model_folder import SavedModel

PACKAGES = ("vlprompt", "torch", "open_clip_torch", "numpy", "pillow")


NOT_SHOWN = ("data", "image_keys", "losses", "parameters")
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
        f"# {for_markdown(model.method)} on {for_markdown(str(data.get('name', 'your pictures')))}",
        f"A classifier of {len(model.class_names)} classes: learned prompts for the frozen backbone "
        f"{for_markdown_code(model.backbone)}, whose weights are not in this folder. Made by vlprompt.",
        "## Use\n" + _use(model),
        "## Results\n" + _results(model.evaluation),
        "## Data\n" + _items(data),
        "## Training\n" + _items(_training(model)),
        "## Classes\n" + ", ".join(_class_entry(name, model.class_words.get(name)) for name in model.class_names),
    ]
    return "\n\n".join(sections) + "\n"


def _use(model: SavedModel) -> str:
    return (
        "```python\nfrom vlprompt import PromptClassifier\n\n"
        'classifier = PromptClassifier.load("this folder")\n'
        'classifier.predict(["picture.png"])\n```\n\n'
        "```sh\nvlprompt predict THIS_FOLDER picture.png\n```"
    )


def _results(evaluation: dict[str, Any]) -> str:
    if not evaluation:
        return "Not evaluated."
    lines = ["| on | accuracy (%) | macro F1 (%) | pictures |", "| --- | --- | --- | --- |"]
    for name, result in evaluation.items():
        lines.append(
            f"| {for_markdown(name)} | {result['accuracy']:.2f} | {result['macro_f1']:.2f} | {result['total']} |"
        )
    return "\n".join(lines)


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
