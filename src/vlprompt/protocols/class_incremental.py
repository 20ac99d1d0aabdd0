"""Class-incremental test: train on the first half of the classes, then new names join those to choose from.

As published with CoCoOp (arXiv 2203.05557, section 4.4), where the names of all classes are there at once, which is the
last test here. Those before it have the first quarters of the new classes, in the order of their labels. Nothing is
learned when they arrive: they come as names, and their test pictures with them.
"""

from __future__ import annotations

from math import ceil

from vlprompt.data.samples import Dataset
from vlprompt.data.splits import keep_classes, select_half
from vlprompt.protocols.base_to_new import BaseToNew

STEPS = 4


class ClassIncremental(BaseToNew):
    """Trains as base-to-new does."""

    name = "class-incremental"
    title = "train on half of the classes, test while new names join them"
    paper = "Conditional Prompt Learning for Vision-Language Models (Zhou et al. 2022, arXiv 2203.05557), section 4.4"
    note = (
        "base: pictures of the trained classes among their names; then the share of the new classes whose names and "
        "pictures have joined them."
    )

    def tests(self, dataset: Dataset) -> dict[str, Dataset]:
        base = select_half(dataset, "base")
        first, total = len(base.class_names), len(dataset.class_names)
        # Fewer than four new classes leave steps at which none arrives.
        counts = {first + ceil((total - first) * step / STEPS): step for step in range(1, STEPS + 1)}
        steps = {f"+{100 * step // STEPS}%": keep_classes(dataset, range(count)) for count, step in counts.items()}
        return {"base": base, **steps}

    def shots_of_untrained(self, shots: int) -> int:
        return 0


CLASS_INCREMENTAL = ClassIncremental()
