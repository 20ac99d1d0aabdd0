"""Accuracy and training time of the recipe cocoop-fast beside the published one, over five seeds.

    python speed/fast_recipe.py --json fast_recipe.json

The base-to-new protocol on all bundled data sets with the bundled model; a stopped run goes on where it was.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import measuring

from vlprompt.experiments import Plan, ResultRecord, run
from vlprompt.protocols import BASE_TO_NEW

SEEDS = (1, 2, 3, 4, 5)
LABELS = {"published": "cocoop", "fast": "cocoop-fast"}


def plan() -> Plan:
    """Both recipes on everything that is bundled."""
    return Plan(BASE_TO_NEW, methods=tuple(LABELS.values()), seeds=SEEDS)


def by_seed(records: list[ResultRecord], label: str) -> list[dict[str, float]]:
    """Means over the data sets for each seed: base, new, their harmonic mean, seconds of training."""
    rows = []
    for seed in SEEDS:
        mine = [record for record in records if record.method.label == label and record.seed == seed]
        base, new = (statistics.fmean(record.results[half].accuracy for record in mine) for half in ("base", "new"))
        seconds = statistics.fmean(record.times.train_s for record in mine)
        rows.append({"base": base, "new": new, "harmonic": 2 * base * new / (base + new), "train_s": seconds})
    return rows


def figures_of(records: list[ResultRecord]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds, and the difference of the recipes over the same seeds."""
    figures: dict[str, Any] = {"seeds": len(SEEDS)}
    rows = {name: by_seed(records, label) for name, label in LABELS.items()}
    for what in ("base", "new", "harmonic", "train_s"):
        for name in LABELS:
            values = [row[what] for row in rows[name]]
            figures[f"{name}_{what}"] = statistics.fmean(values)
            figures[f"{name}_{what}_deviation"] = statistics.stdev(values)
    gains = [fast["harmonic"] - slow["harmonic"] for fast, slow in zip(rows["fast"], rows["published"], strict=True)]
    figures["harmonic_difference"] = statistics.fmean(gains)
    figures["harmonic_difference_deviation"] = statistics.stdev(gains)
    return figures


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0], rounds=False, threads=False)
    options.add_argument("--out", type=Path, default=Path("runs/fast-recipe"))
    options.add_argument("--workers", type=int, default=2)
    chosen = options.parse_args()
    records = run(plan(), chosen.out, workers=chosen.workers)
    measuring.report("cocoop-fast beside the published recipe", figures_of(records), chosen.json)


if __name__ == "__main__":
    main()
