"""How much method="auto" loses against the best of its members, on every bundled data set.

    python tools/regret.py OUT [--datasets NAMES] [--seeds 1,2,3] [--shots 1,2,4,8,16] [--beside RESULTS]

Each cell (data set, shots, seed) trains every member on flat drawings and tests it on the test pictures in the own
style and in the two others, of which nothing was seen; regret is the best member's accuracy minus that of what auto
chose, which is known in hindsight only. The rule itself was settled on the validation pictures, which the cells hold,
too (`--split val`). Cells are kept in OUT/cells.jsonl as they are done, with what was chosen by the rule of then, and
the same command goes on from there; it writes OUT/regret.json and OUT/regret.md.

What is trained step by step takes hours where heads take seconds, so its accuracies are taken from the records of

    vlprompt benchmark few-shot --methods coop,kgcoop,cocoop,clap,tip-adapter-f --out RESULTS

and these methods are members of the cells that it has.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlprompt.backbones import Backbone, load_backbone
from vlprompt.data.emoji import EMOJI_DATASETS, EMOJI_DOMAINS, load_emoji
from vlprompt.data.few_shot import draw_few_shot
from vlprompt.data.samples import Sample
from vlprompt.experiments.records import read_records
from vlprompt.features import FeatureExtractor
from vlprompt.methods.method import Method, TrainingSet
from vlprompt.model.trials import HEADS, Candidates, choose_for_pictures

MEMBERS = ("zero-shot", *HEADS)
OWN = EMOJI_DOMAINS[0]
STYLES = {"own": (OWN,), "shifted": EMOJI_DOMAINS[1:]}


def main() -> None:
    """Compute the cells that are not there yet, then the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--datasets", default=",".join(EMOJI_DATASETS))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--shots", default="1,2,4,8,16")
    parser.add_argument("--split", choices=("test", "val"), default="test")
    parser.add_argument("--backbone", default="mini")
    parser.add_argument(
        "--beside", type=Path, metavar="RESULTS", help="trained methods in these results are members, too"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    seeds, shots = ([int(number) for number in text.split(",")] for text in (options.seeds, options.shots))
    wanted = [(name, few, seed) for name in options.datasets.split(",") for seed in seeds for few in shots]
    cells = fill(options.out / "cells.jsonl", wanted, options.backbone)
    if options.beside:
        add_trained(cells, options.beside)
    summary = summarise([cells[key] for key in wanted], options.split)
    (options.out / "regret.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    markdown = as_markdown(summary, options.split)
    (options.out / "regret.md").write_text(markdown, encoding="utf-8")
    print(markdown)


Key = tuple[str, int, int]
"""Data set, shots, seed."""


def fill(path: Path, wanted: Sequence[Key], backbone: str) -> dict[Key, dict[str, Any]]:
    """The wanted cells: those in the file, and the others computed and added to it."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    cells = {(cell["data"], cell["shots"], cell["seed"]): cell for cell in map(json.loads, lines)}
    missing = [key for key in wanted if key not in cells]
    frozen = load_backbone(backbone) if missing else None
    for key in missing:
        assert frozen is not None
        cells[key] = compute(frozen, *key)
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(cells[key]) + "\n")
    return cells


def compute(backbone: Backbone, name: str, shots: int, seed: int) -> dict[str, Any]:
    """Accuracy in percent of every member and of what auto chooses, by split and style."""
    dataset = load_emoji(name)
    few, _ = draw_few_shot(dataset.train, (), shots, seed)
    pictures = TrainingSet(*_features(backbone, few))
    candidates = Candidates(backbone, dataset.class_names, dataset.template, pictures, seed)
    choice = choose_for_pictures(candidates)
    members = {name: candidates.build(name) for name in dict.fromkeys([*MEMBERS, choice.method])}
    tests = _tests(backbone, name)
    accuracies: dict[str, Any] = {}
    for member, method in members.items():
        method.setup(pictures)
        accuracies[member] = {
            split: {style: _accuracy(method, *tests[split, style]) for style in EMOJI_DOMAINS}
            for split in ("val", "test")
        }
    return {"data": name, "shots": shots, "seed": seed, "choice": choice.as_dict(), "accuracy": accuracies}


def add_trained(cells: dict[Key, dict[str, Any]], results: Path) -> None:
    """Make the trained methods of a few-shot benchmark members of the cells that it has.

    Raises:
        SystemExit: the results have none.
    """
    found = 0
    for record in read_records(results):
        key = (record.dataset.name, record.shots, record.seed)
        if record.protocol == "few-shot" and record.training is not None and key in cells:
            named = {style: record.results["test" if style == OWN else style].accuracy for style in EMOJI_DOMAINS}
            cells[key]["accuracy"][record.method.label] = {"test": named}
            found += 1
    if not found:
        raise SystemExit(f"{results} has no few-shot record of a trained method for any of the cells.")


@lru_cache(maxsize=1)
def _tests(backbone: Backbone, name: str) -> dict[tuple[str, str], tuple[torch.Tensor, torch.Tensor]]:
    """Features and labels by split and style."""
    return {
        (split, style): _features(backbone, getattr(load_emoji(name, style), split))
        for split in ("val", "test")
        for style in EMOJI_DOMAINS
    }


def _features(backbone: Backbone, samples: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    values = FeatureExtractor(backbone).extract([sample.image for sample in samples]).values
    features = torch.nn.functional.normalize(torch.from_numpy(np.array(values)), dim=-1)
    return features, torch.tensor([sample.label for sample in samples])


def _accuracy(method: Method, features: torch.Tensor, labels: torch.Tensor) -> float:
    return 100 * float((method.predict_logits(features).argmax(1) == labels).double().mean())


def regret(cell: dict[str, Any], split: str, style: str) -> float:
    """Best member minus auto, in points."""
    accuracy = {name: values[split][style] for name, values in cell["accuracy"].items() if split in values}
    return max(accuracy.values()) - accuracy[cell["choice"]["method"]]


def summarise(cells: Sequence[dict[str, Any]], split: str) -> dict[str, Any]:
    """Mean and largest regret by style and shots, the largest from 4 shots on, and mean accuracies of all members."""
    has = [name for cell in cells for name, values in cell["accuracy"].items() if split in values]
    members = {name: has.count(name) for name in (*MEMBERS, *sorted(set(has) - set(MEMBERS)))}
    summary: dict[str, Any] = {"split": split, "cells": len(cells), "members": members, "styles": {}}
    for called, styles in STYLES.items():
        rows = []
        for shots in sorted({cell["shots"] for cell in cells}):
            here = [cell for cell in cells if cell["shots"] == shots]
            regrets = [regret(cell, split, style) for cell in here for style in styles]
            accuracy = {name: _mean_accuracy(here, name, split, styles) for name in members}
            auto = float(np.mean([_of_auto(cell, split, style) for cell in here for style in styles]))
            chosen = [cell["choice"]["method"] for cell in here]
            rows.append(
                {
                    "shots": shots,
                    "mean_regret": float(np.mean(regrets)),
                    "largest_regret": max(regrets),
                    "auto": auto,
                    **accuracy,
                    "chosen": {name: chosen.count(name) for name in dict.fromkeys(chosen)},
                }
            )
        every = [regret(cell, split, style) for cell in cells for style in styles]
        summary["styles"][called] = {"mean_regret": float(np.mean(every)), "rows": rows}
    return summary


def _of_auto(cell: dict[str, Any], split: str, style: str) -> float:
    return cell["accuracy"][cell["choice"]["method"]][split][style]


def _mean_accuracy(cells: Sequence[dict[str, Any]], name: str, split: str, styles: Sequence[str]) -> float | None:
    """Over the cells that have the member; None where none has."""
    found = [cell["accuracy"][name] for cell in cells if split in cell["accuracy"].get(name, {})]
    return float(np.mean([values[split][style] for values in found for style in styles])) if found else None


def as_markdown(summary: dict[str, Any], split: str) -> str:
    """The summary as a table for each kind of style."""
    members, cells = summary["members"], summary["cells"]
    lines = [f"Regret of auto on {split} pictures of {cells} cells (data set x shots x seed), in points."]
    for name, count in members.items():
        if count < cells:
            lines.append(f"{name} is a member, and its mean is, of {count} of the cells.")
    for called, part in summary["styles"].items():
        lines += ["", f"{called} style: mean regret {part['mean_regret']:.2f}", ""]
        lines += ["| shots | mean regret | largest | auto | " + " | ".join(members) + " | chosen |"]
        lines += ["| ---: |" + " ---: |" * (len(members) + 3) + " --- |"]
        for row in part["rows"]:
            shares = " | ".join("" if row[name] is None else f"{row[name]:.1f}" for name in ("auto", *members))
            chosen = ", ".join(f"{name} {count}" for name, count in row["chosen"].items())
            numbers = f"{row['shots']} | {row['mean_regret']:.2f} | {row['largest_regret']:.1f}"
            lines.append(f"| {numbers} | {shares} | {chosen} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    main()
