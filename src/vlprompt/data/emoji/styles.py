"""The styles of drawing as domains: the same scenes of a bundled data set, drawn otherwise."""

from __future__ import annotations

from dataclasses import replace

from vlprompt.data.samples import Dataset


def style_of(dataset: Dataset) -> str:
    """The style that a bundled data set is drawn in; "" for other data."""
    return dataset.bundled.partition("/")[2]


def other_styles(dataset: Dataset) -> dict[str, Dataset]:
    """The scenes of a whole bundled data set in the styles that are not its own; nothing for other data."""
    from vlprompt.data.emoji import EMOJI_DATASETS, EMOJI_DOMAINS, load_emoji

    bundled, own = dataset.bundled.partition("/")[0], style_of(dataset)
    if bundled not in EMOJI_DATASETS or own not in EMOJI_DOMAINS:
        return {}
    styles = {style: load_emoji(bundled, style) for style in EMOJI_DOMAINS if style != own}
    return {
        style: replace(drawn, class_words=dataset.class_words)
        for style, drawn in styles.items()
        if drawn.class_names == dataset.class_names
    }
