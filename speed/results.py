"""Run every benchmark and write RESULTS.md beside this file: `make bench`.

    python speed/results.py [--only NAME...]

Each benchmark runs in a process of its own with nothing beside it; with --only, the others' figures are taken from
results.json, where the last ones are kept.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import measuring

HERE = Path(__file__).parent
KEPT = HERE / "results.json"
REPORT = HERE / "RESULTS.md"

COMMANDS: dict[str, tuple[str, ...]] = {
    "step_50_1": ("training_step.py", "--classes", "50", "--batch", "1"),
    "step_50_4": ("training_step.py", "--classes", "50", "--batch", "4"),
    "step_500_1": ("training_step.py", "--classes", "500", "--batch", "1", "--plain-classes", "50"),
    "step_1000_1": ("training_step.py", "--classes", "1000", "--plain-classes", "50", "--memory", "2000000000"),
    "step_1000_8": (
        *("training_step.py", "--classes", "1000", "--batch", "8", "--plain-classes", "10"),
        *("--memory", "6000000000"),
    ),
    "roofline_50": ("roofline.py", "--classes", "50"),
    "roofline_500": ("roofline.py", "--classes", "500"),
    "roofline_3": ("roofline.py", "--classes", "3"),
    "pixel_step": ("pixel_step.py",),
    "inference": ("inference.py", "--classes", "500"),
    "features": ("features.py",),
    "encoder": ("encoder.py",),
    "laptop": ("laptop.py", "--threads", "1", "--earlier", "7531b87"),
    "laptop_all": ("laptop.py", "--threads", "1", "--shots", "null"),
    "startup": ("startup.py",),
    "many_pictures": ("many_pictures.py",),
    "protocol": ("protocol.py",),
    "fast_recipe": ("fast_recipe.py",),
}

# (what, benchmark, figure, at least or at most, how to show it)
TARGETS: tuple[tuple[str, str, str, str, float, str], ...] = (
    ("CoCoOp step, ViT-B/16, 50 names, batch 1", "step_50_1", "ratio", ">=", 20, "{:.1f}x"),
    ("CoCoOp step, ViT-B/16, 50 names, batch 4", "step_50_4", "ratio", ">=", 28, "{:.1f}x"),
    ("CoCoOp step, 500 ImageNet names, batch 1", "step_500_1", "ratio", ">=", 18, "{:.1f}x"),
    ("peak memory of a step, 50 names, batch 4, less by", "step_50_4", "memory_ratio", ">=", 8, "{:.1f}x"),
    ("share of sgemm's rate, 500 names", "step_500_1", "fraction_of_sgemm", ">=", 0.65, "{:.0%}"),
    ("share of sgemm's rate, 50 names, batch 1", "roofline_50", "reached", ">=", 0.6, "{:.0%}"),
    (
        "the same, of what its own products, passes and calls allow",
        "roofline_50",
        "reached_of_limit",
        ">=",
        0.9,
        "{:.0%}",
    ),
    ("the same, 500 names", "roofline_500", "reached_of_limit", ">=", 0.85, "{:.0%}"),
    ("the same, 3 names", "roofline_3", "reached_of_limit", ">=", 0.9, "{:.0%}"),
    ("largest relative gradient error, fp32", "step_50_1", "max_gradient_error", "<=", 1e-5, "{:.1e}"),
    ("largest relative logit error, fp32", "step_50_1", "max_logit_error", "<=", 1e-5, "{:.1e}"),
    ("peak memory, 1000 names, batch 1 (bytes)", "step_1000_1", "segments_peak_bytes", "<=", 2e9, "{:.2e}"),
    ("peak memory, 1000 names, batch 8 (bytes)", "step_1000_8", "segments_peak_bytes", "<=", 6e9, "{:.2e}"),
    ("exact inference, 500 classes", "inference", "exact_ratio", ">=", 18, "{:.1f}x"),
    ("screened inference, 500 classes", "inference", "screened_ratio", ">=", 600, "{:.0f}x"),
    ("screened top-1 agreement, held-out images", "inference", "agreement_top1", ">=", 0.999, "{:.2%}"),
    ("image encoder, ViT-B/16, share of sgemm's rate", "encoder", "blocks_fraction_of_sgemm", ">=", 0.85, "{:.0%}"),
    ("kernel's share of the encoder's processor time", "encoder", "blocks_kernel", "<=", 0.02, "{:.1%}"),
    (
        "`fit` of 200 pictures, ViT-B/16: all trained on, CoCoOp over auto",
        "laptop_all",
        "before_ratio",
        ">=",
        8,
        "{:.1f}x",
    ),
    ("the same, 16 shots and the rest tested, the first CoCoOp", "laptop", "earlier_ratio", ">=", 8, "{:.1f}x"),
    ("image encodings a picture of `fit` with auto", "laptop", "encodings_per_picture", "<=", 1, "{:.2f}"),
    ("first line of progress of `fit` with auto (s)", "laptop", "after_first_line_s", "<=", 60, "{:.0f}"),
    ("start of a benchmark among 1.28 million pictures (s)", "many_pictures", "large_s", "<=", 60, "{:.0f}"),
    ("the same, peak memory (bytes)", "many_pictures", "large_peak_bytes", "<=", 2e9, "{:.2e}"),
    ("base-to-new protocol, mini", "protocol", "ratio", ">=", 10, "{:.1f}x"),
    ("`vlprompt --help` (s)", "startup", "help_s", "<=", 0.3, "{:.2f}"),
    ("`vlprompt predict`, one image (s)", "startup", "predict_s", "<=", 3, "{:.2f}"),
)


def measured(name: str) -> dict[str, Any]:
    """The figures of one benchmark, run now."""
    script, *options = COMMANDS[name]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        print(f"\n{script} {' '.join(options)}", flush=True)
        subprocess.run([sys.executable, str(HERE / script), *options, "--json", str(file)], check=True)
        return {"command": f"python speed/{' '.join(COMMANDS[name])}", **json.loads(file.read_text())}


def target_rows(results: dict[str, Any]) -> list[str]:
    """What was to be reached, and what was."""
    rows = ["| what | wanted | measured | |", "| --- | ---: | ---: | --- |"]
    for what, benchmark, figure, relation, wanted, shape in TARGETS:
        if benchmark not in results:
            continue
        sign = "at least" if relation == ">=" else "at most"
        value = results[benchmark]["figures"].get(figure)
        if value is None:  # kept from before the benchmark had this figure
            rows.append(f"| {what} | {sign} {shape.format(wanted)} | | not measured |")
            continue
        reached = value >= wanted if relation == ">=" else value <= wanted
        shown = "reached" if reached else "**not reached**"
        rows.append(f"| {what} | {sign} {shape.format(wanted)} | {shape.format(value)} | {shown} |")
    return rows


def section(result: dict[str, Any]) -> str:
    """One benchmark's figures."""
    rows = [f"| {name} | {value:.4g} |" if isinstance(value, float) else f"| {name} | {value} |"
            for name, value in result["figures"].items()]  # fmt: skip
    head = f"### {result['title']}\n\n`{result['command']}`, {result['machine']['date']}"
    return "\n".join([head, "", "| figure | value |", "| --- | ---: |", *rows])


def report(results: dict[str, Any]) -> str:
    """The whole page."""
    machine = measuring.machine()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "open_clip_torch", "numpy"))
    return "\n".join(
        [
            "# Measured",
            "",
            "Written by `make bench`; do not edit. Notes on the figures are in [NOTES.md](NOTES.md).",
            "",
            f"{machine['processor']}, {machine['threads']} threads, fp32; Python {platform.python_version()}, "
            f"{packages}; {machine['date']}.",
            "",
            "Ratios are to the plain way in the same run, the ways interleaved in one process (the protocol's in the "
            "processes that users run), median of 5 rounds. Tensors of the true shapes with random values stand for "
            "ViT-B/16's weights. Where a plain way would take too long it runs on a part and is scaled, as "
            "`plain_measured_on_classes` and the benchmark's own text say.",
            "",
            *target_rows(results),
            "",
            *[f"{section(results[name])}\n" for name in COMMANDS if name in results],
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", choices=sorted(COMMANDS), metavar="NAME", help="run only these")
    only = parser.parse_args().only
    results: dict[str, Any] = json.loads(KEPT.read_text()) if only is not None and KEPT.is_file() else {}
    for name in COMMANDS if only is None else only:
        results[name] = measured(name)
        KEPT.write_text(json.dumps(results, indent=1) + "\n")
        REPORT.write_text(report(results))


if __name__ == "__main__":
    main()
