"""From logits to the published measures of one half's test images.

Accuracy is over all images; macro F1 is the unweighted mean over the classes that the test images have, as the
published code's; per-class accuracy is recall.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlprompt.experiments.records import HalfResult


def measure(predictions: np.ndarray, labels: Sequence[int], class_names: Sequence[str]) -> HalfResult:
    """Measures of predicted labels (n,) against true ones (n,)."""
    from sklearn.metrics import f1_score

    true = np.asarray(labels)
    right = predictions == true
    present = np.unique(true)
    f1 = f1_score(true, predictions, labels=present, average="macro", zero_division=0)
    return HalfResult(
        accuracy=100 * float(right.mean()),
        macro_f1=100 * float(f1),
        correct=int(right.sum()),
        total=len(true),
        per_class_accuracy=_by_name(present, true, right, class_names),
        predictions=tuple(int(label) for label in predictions),
    )


def _by_name(present: np.ndarray, true: np.ndarray, right: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Percent by class; a name that two classes share has its label beside it."""
    shared = {name for name in names if list(names).count(name) > 1}
    return {
        f"{names[label]} ({label})" if names[label] in shared else names[label]: 100
        * float(right[true == label].mean())
        for label in present.tolist()
    }
