"""What the papers published, as data.

Averages over 11 data sets of photographs (ImageNet, Caltech101, OxfordPets, StanfordCars, OxfordFlowers, Food101,
FGVCAircraft, SUN397, DTD, EuroSAT, UCF101), base-to-new, 16 shots, CLIP ViT-B/16, three seeds.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedAverage:
    """Accuracy in percent on base and new classes, and their harmonic mean."""

    method: str
    base: float
    new: float
    harmonic: float


BASE_TO_NEW_SOURCE = "Conditional Prompt Learning for Vision-Language Models (arXiv 2203.05557), Table 1"
BASE_TO_NEW_SETTING = "CLIP ViT-B/16 on 11 data sets of photographs"
BASE_TO_NEW_AVERAGES = (
    PublishedAverage("zero-shot", 69.34, 74.22, 71.70),
    PublishedAverage("coop", 82.69, 63.22, 71.66),
    PublishedAverage("cocoop", 80.47, 71.69, 75.83),
)
