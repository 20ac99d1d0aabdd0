"""What people call the training, validation and test pictures, in folders and in manifests.

Case, blanks, hyphens, a trailing number (`val2017`) and words such as `set` and `images` (`training_set`) do not count.
`eval` is the test split, unless there is a test split beside it: then it is the validation split.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from vlprompt.data.entries import Split

WORDS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "dev", "devel", "development"),
    "test": ("test", "testing", "tst", "holdout", "heldout"),
}
EITHER = ("eval", "evaluation")

_ENDINGS = ("set", "split", "images", "pictures", "imgs", "data")
_SPLIT_OF: dict[str, Split | None] = {
    **{word: split for split, words in WORDS.items() for word in words},
    **dict.fromkeys(EITHER),
}


def splits_of(words: Iterable[str]) -> dict[str, Split]:
    """The split that each word names, without those that name none."""
    known = {word: plain for word in words if (plain := _plain(word)) in _SPLIT_OF}
    found = {word: split for word, plain in known.items() if (split := _SPLIT_OF[plain]) is not None}
    either: Split = "val" if "test" in found.values() else "test"
    return {word: found.get(word, either) for word in known}


def holds_split_word(name: str) -> bool:
    """Whether a part of the name is such a word, as in `seg_train` and `test-v2`."""
    return any(_plain(part) in _SPLIT_OF for part in re.split(r"[\W_]+", name) if part)


def two_words_for_one(splits: dict[str, Split], spellings_differ: bool = False) -> Sequence[str]:
    """Two words that name one split; () when there are none.

    Args:
        spellings_differ: also two that differ only in what does not count, such as case.
    """
    taken: dict[Split, str] = {}
    for word, split in splits.items():
        first = taken.setdefault(split, word)
        if first != word and (spellings_differ or _plain(first) != _plain(word)):
            return (first, word)
    return ()


def _plain(word: str) -> str:
    plain = re.sub(r"[\s_-]", "", word.casefold()).rstrip("0123456789")
    for ending in _ENDINGS:
        if plain.removesuffix(ending) in _SPLIT_OF:
            return plain.removesuffix(ending)
    return plain
