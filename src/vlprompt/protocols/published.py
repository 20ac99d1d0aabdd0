"""What the papers published, as data.

Averages over 11 data sets of photographs (ImageNet, Caltech101, OxfordPets, StanfordCars, OxfordFlowers, Food101,
FGVCAircraft, SUN397, DTD, EuroSAT, UCF101), CLIP ViT-B/16, three seeds: base-to-new with 16 shots, and few-shot over
all classes.
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


@dataclass(frozen=True)
class PublishedCurve:
    """Accuracy in percent with `FEW_SHOT_SHOTS` training images of every class.

    Attributes:
        chosen_on: what the method's published code chose on pictures beyond the shots, as a sentence; else empty.
    """

    method: str
    accuracies: tuple[float, ...]
    chosen_on: str = ""


FEW_SHOT_SOURCE = (
    "HealthX-Lab/CLIP-SVD, README (read in November 2026), which collects them from the methods' papers and names no "
    "backbone; its zero-shot figure fits ViT-B/16"
)
FEW_SHOT_SETTING = "CLIP, by its zero-shot figure ViT-B/16, on 11 data sets of photographs"
FEW_SHOT_SHOTS = (1, 2, 4, 8, 16)
FEW_SHOT_ZERO_SHOT = 65.36
FEW_SHOT_AVERAGES = (
    PublishedCurve("zero-shot", (FEW_SHOT_ZERO_SHOT,) * len(FEW_SHOT_SHOTS)),
    PublishedCurve("coop", (68.09, 70.13, 73.59, 76.45, 79.01)),
    PublishedCurve("cocoop", (66.95, 67.63, 71.98, 72.92, 75.02)),
    PublishedCurve("maple", (69.27, 72.58, 75.37, 78.89, 81.79)),
    PublishedCurve("linear-probe", (45.77, 56.92, 66.79, 73.43, 78.39)),
    PublishedCurve("lp++", (70.35, 72.93, 75.77, 77.94, 80.32)),
    PublishedCurve(
        "gda",
        (69.39, 73.09, 76.24, 79.71, 81.70),
        "GDA's published code chooses its mixing weight on the whole validation split, and on ImageNet on the test "
        "split; here it is chosen by cross-validation on the training pictures.",
    ),
    PublishedCurve(
        "tip-adapter-f",
        (70.62, 73.08, 75.75, 78.51, 81.15),
        "Tip-Adapter-F's published code keeps the epoch that is best on the test pictures; here the last epoch counts.",
    ),
    PublishedCurve("ProKeR", (71.32, 73.74, 76.23, 79.84, 82.01)),
    PublishedCurve("CLIP-LoRA", (72.20, 75.41, 77.32, 80.10, 82.89)),
    PublishedCurve("CLIP-SVD", (73.20, 76.06, 78.18, 80.55, 82.97)),
)
