"""The fifteen data sets of the CoOp and CoCoOp papers: the one list that every listing, help text and table reads.

One more is a declaration and a line here.
"""

from __future__ import annotations

from vlprompt.data.published import imagenet_sets, ten_sets

PUBLISHED = {
    declared.name: declared
    for declared in (
        imagenet_sets.IMAGENET,
        ten_sets.CALTECH101,
        ten_sets.OXFORD_PETS,
        ten_sets.STANFORD_CARS,
        ten_sets.FLOWERS102,
        ten_sets.FOOD101,
        ten_sets.FGVC_AIRCRAFT,
        ten_sets.SUN397,
        ten_sets.DTD,
        ten_sets.EUROSAT,
        ten_sets.UCF101,
        imagenet_sets.IMAGENET_V2,
        imagenet_sets.IMAGENET_SKETCH,
        imagenet_sets.IMAGENET_A,
        imagenet_sets.IMAGENET_R,
    )
}
"""The published data sets by name, in the order of the papers."""
