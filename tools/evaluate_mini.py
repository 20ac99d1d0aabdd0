"""Zero-shot accuracy of mini-CLIP (or any OpenCLIP folder) on the bundled benchmark.

    python tools/evaluate_mini.py --json figures.json

Every test scene of the six data sets in all three styles, with the data sets' own template. The last
column is the flat style against the names of all 300 classes at once.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import open_clip
import torch
from torch import Tensor
from torch.nn import functional as F

from vlprompt.data.emoji import EMOJI_DATASETS, EMOJI_DOMAINS, load_emoji
from vlprompt.data.samples import Dataset

MINI = Path(__file__).parents[1] / "src/vlprompt/backbones/mini"


class ZeroShot:
    """A frozen OpenCLIP model as classifier over names."""

    def __init__(self, folder: Path) -> None:
        self.model, self.transform = open_clip.create_model_from_pretrained(f"local-dir:{folder}")
        self.tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        self.model.eval()

    @torch.inference_mode()
    def names(self, names: list[str], template: str) -> Tensor:
        """Unit text features (N, E)."""
        return F.normalize(self.model.encode_text(self.tokenizer([template.format(name) for name in names])), dim=-1)

    @torch.inference_mode()
    def pictures(self, dataset: Dataset, every: int) -> tuple[Tensor, Tensor]:
        """Unit image features (B, E) and labels (B,) of the test split."""
        samples = dataset.test[::every]
        features = []
        for start in range(0, len(samples), 250):
            pictures = [self.transform(sample.image.open()) for sample in samples[start : start + 250]]
            features.append(F.normalize(self.model.encode_image(torch.stack(pictures)), dim=-1))
        return torch.cat(features), torch.tensor([sample.label for sample in samples])


def accuracy(images: Tensor, texts: Tensor, labels: Tensor) -> float:
    """Per cent right."""
    return 100 * float(((images @ texts.t()).argmax(1) == labels).float().mean())


def evaluate(
    model: ZeroShot, template: str | None, every: int, domains: Sequence[str] = EMOJI_DOMAINS
) -> dict[str, dict[str, float]]:
    """Accuracy by data set, then by domain; "all names": flat, against the classes of all data sets."""
    flat = [load_emoji(name) for name in EMOJI_DATASETS]
    texts = [model.names(dataset.class_names, template or dataset.template) for dataset in flat]
    everything = torch.cat(texts)
    starts = [sum(len(part) for part in texts[:index]) for index in range(len(texts))]
    table: dict[str, dict[str, float]] = {}
    for name, own, start in zip(EMOJI_DATASETS, texts, starts, strict=True):
        row = table.setdefault(name, {})
        for domain in domains:
            images, labels = model.pictures(load_emoji(name, domain), every)
            row[domain] = accuracy(images, own, labels)
            if domain == "flat":
                row["all names"] = accuracy(images, everything, labels + start)
    columns = list(table[EMOJI_DATASETS[0]])
    table["average"] = {column: sum(table[name][column] for name in EMOJI_DATASETS) / len(flat) for column in columns}
    return table


def lines(table: dict[str, dict[str, float]]) -> list[str]:
    """The table as aligned text."""
    columns = [*EMOJI_DOMAINS, "all names"]
    head = f"{'':18}" + "".join(f"{column:>15}" for column in columns)
    rows = [f"{name:18}" + "".join(f"{row[column]:15.1f}" for column in columns) for name, row in table.items()]
    return [head, *rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", type=Path, default=MINI, help="folder with open_clip_config.json")
    parser.add_argument("--template", help="instead of the data sets' own")
    parser.add_argument("--every", type=int, default=1, help="look at every so many-th test scene")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    options = parser.parse_args()
    table = evaluate(ZeroShot(options.model), options.template, options.every)
    print("\n".join(lines(table)))
    if options.json:
        options.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
