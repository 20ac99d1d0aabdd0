"""CoCoOp inference: the plain way, exact in segments, and screened.

    python speed/inference.py --model ViT-B-16 --classes 500 --json inference.json

Times with random weights of the true shapes; they say nothing about screening's agreement, which is therefore measured
with a CoCoOp trained on the bundled model, over the names of all bundled classes and on test images that neither
training nor calibration saw. The k that was calibrated there is used for the timing here.
"""

from __future__ import annotations

from typing import Any

import measuring
import torch
from plain_way import PlainCoCoOp
from torch import Tensor
from torch.nn import functional as F
from training_step import class_names, random_backbone

from vlprompt.backbones import Backbone, load_backbone
from vlprompt.data.catalogue import DATASETS, load_dataset
from vlprompt.data.few_shot import sample_few_shot
from vlprompt.data.samples import Sample
from vlprompt.features import CachedViews, FeatureExtractor
from vlprompt.methods import build_method
from vlprompt.methods.cocoop import CoCoOp
from vlprompt.methods.declarations import recipe_for
from vlprompt.screening.expansion import Expansion
from vlprompt.screening.screened import Screen, calibrate, screened_logits
from vlprompt.screening.screener import calibration_for
from vlprompt.training import train


def agreement_on_bundled(trained_on: str, epochs: int, test_images: int) -> dict[str, Any]:
    """Train on one bundled data set, then compare screened with exact inference over all bundled names."""
    backbone = load_backbone("mini", device="cpu")
    method, training = trained_cocoop(backbone, trained_on, epochs)
    datasets = [load_dataset(name) for name in DATASETS]
    names = [name for dataset in datasets for name in dataset.class_names]
    everything = method.with_class_names(names)
    assert isinstance(everything, CoCoOp)
    extractor = FeatureExtractor(backbone)
    calibration = calibration_for(everything, training)
    assert calibration is not None
    path = everything.screening()
    screen = calibrate(everything, path, calibration)
    held_out = [sample for dataset in datasets for sample in dataset.test]
    step = max(1, len(held_out) // test_images)
    test = features_of(extractor, held_out[::step])
    exact = everything.predict_logits(test).argmax(1)
    screened = screened_logits(everything, path, screen, test)[0].argmax(1)
    return {
        "agreement_top1": float((exact == screened).float().mean()),
        "agreement_images": len(test),
        "agreement_classes": len(names),
        "k": screen.candidates,
        "calibrated_agreement": screen.agreement,
    }


def trained_cocoop(backbone: Backbone, dataset_name: str, epochs: int) -> tuple[CoCoOp, Tensor]:
    """CoCoOp by the published recipe on 16 shots of all classes of a data set, and its features of the last epoch."""
    dataset = load_dataset(dataset_name)
    shots = list(sample_few_shot(dataset.train, (), 16, 1)[0])
    recipe = recipe_for("cocoop").with_training(epochs=epochs)
    assert recipe.training is not None
    method = build_method("cocoop", backbone, dataset.class_names)
    assert isinstance(method, CoCoOp)
    views = FeatureExtractor(backbone).views([sample.image for sample in shots], epochs, 1)
    labels = torch.tensor([sample.label for sample in shots])
    train(method, CachedViews(views.values), labels, recipe.training)
    return method, torch.from_numpy(views.values[:, -1])


def features_of(extractor: FeatureExtractor, samples: list[Sample]) -> Tensor:
    return torch.from_numpy(extractor.extract([sample.image for sample in samples]).values)


def seconds_per_image(
    architecture: str, classes: int, plain_classes: int, k: int, images: int, rounds: int
) -> dict[str, Any]:
    """Time of the three ways; the plain way runs on `plain_classes` and is scaled to all."""
    backbone = random_backbone(architecture)
    method = build_method("cocoop", backbone, class_names(classes))
    assert isinstance(method, CoCoOp)
    plain = PlainCoCoOp.like(method, plain_classes)
    features = F.normalize(torch.randn(images, backbone.feature_size), dim=-1)
    hidden = method.meta_net.linear1.out_features
    expansion = Expansion(torch.zeros(hidden), torch.randn(classes, (1 + hidden) * backbone.feature_size))
    screen = Screen(expansion, candidates=k, agreement=float("nan"), images=0)

    @torch.no_grad()
    def plainly() -> None:
        plain(features[:1])

    ways = {
        "plain": plainly,
        "exact": lambda: method.predict_logits(features[:4], batch_size=4),
        "screened": lambda: screened_logits(method, method.screening(), screen, features),
    }
    seconds = measuring.interleaved(ways, rounds)
    return {
        "plain_s_per_image": seconds["plain"] * classes / plain_classes,
        "plain_measured_on_classes": plain_classes,
        "exact_s_per_image": seconds["exact"] / 4,
        "screened_s_per_image": seconds["screened"] / images,
    }


def main() -> None:
    options = measuring.parser(__doc__.splitlines()[0])
    options.add_argument("--model", default="ViT-B-16")
    options.add_argument("--classes", type=int, default=500)
    options.add_argument("--plain-classes", type=int, default=50, help="run the plain way on these and scale")
    options.add_argument("--images", type=int, default=64, help="images screened at once")
    options.add_argument("--trained-on", default="emoji-animals", choices=DATASETS)
    options.add_argument("--epochs", type=int, default=10)
    options.add_argument("--test-images", type=int, default=1500)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    agreement = agreement_on_bundled(chosen.trained_on, chosen.epochs, chosen.test_images)
    plain_classes = min(chosen.plain_classes, chosen.classes)
    seconds = seconds_per_image(
        chosen.model, chosen.classes, plain_classes, agreement["k"], chosen.images, chosen.rounds
    )
    figures = {"classes": chosen.classes, **seconds}
    figures["exact_ratio"] = seconds["plain_s_per_image"] / seconds["exact_s_per_image"]
    figures["screened_ratio"] = seconds["plain_s_per_image"] / seconds["screened_s_per_image"]
    title = f"CoCoOp inference, {chosen.model}, {chosen.classes} classes, {chosen.threads} threads"
    measuring.report(title, figures | agreement, chosen.json)


if __name__ == "__main__":
    main()
