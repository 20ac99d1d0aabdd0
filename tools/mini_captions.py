"""Captions for training scenes: varied templates, and sentences that tell what is seen.

A caption is a list of BPE tokens. Words are tokenised once and concatenated, which gives the same
tokens as tokenising the sentence because CLIP's BPE never crosses a space.
"""

from __future__ import annotations

import functools
import random
from dataclasses import dataclass, replace

import open_clip
from mini_scenes import COLOUR_NAMES, PATTERNS, Scenes

TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of a {}.",
    "a picture of the {}.",
    "an image of a {}.",
    "a drawing of a {}.",
    "a drawing of the {}.",
    "an icon of a {}.",
    "an emoji of a {}.",
    "itap of a {}.",
    "itap of the {}.",
    "itap of my {}.",
    "a bad photo of a {}.",
    "a bad photo of the {}.",
    "a good photo of a {}.",
    "a photo of many {}.",
    "a sculpture of a {}.",
    "a photo of the hard to see {}.",
    "a low resolution photo of the {}.",
    "a rendering of a {}.",
    "graffiti of a {}.",
    "a cropped photo of the {}.",
    "a tattoo of a {}.",
    "the embroidered {}.",
    "a bright photo of a {}.",
    "a photo of a clean {}.",
    "a photo of a dirty {}.",
    "a dark photo of the {}.",
    "a photo of my {}.",
    "the plastic {}.",
    "a photo of the cool {}.",
    "a close-up photo of a {}.",
    "a painting of the {}.",
    "a pixelated photo of the {}.",
    "a plastic {}.",
    "a jpeg corrupted photo of a {}.",
    "a photo of one {}.",
    "a doodle of a {}.",
    "a origami {}.",
    "the {} in a video game.",
    "a {} in a video game.",
    "a sketch of a {}.",
    "a toy {}.",
    "a photo of the large {}.",
    "a photo of the small {}.",
    "a photo of a nice {}.",
    "a photo of the weird {}.",
    "a cartoon {}.",
    "art of a {}.",
    "art of the {}.",
    "a photo of a {}, a type of thing.",
    "this is a {}.",
    "there is a {}.",
    "a {}.",
    "the {}.",
    "{}.",
    "{}",
)

KINDS = {
    "food": ("food", "food and drink"),
    "animals": ("animal", "creature"),
    "plants": ("plant",),
    "travel": ("place, vehicle or weather", "travel picture"),
    "objects": ("object", "thing"),
    "activities": ("game, sport or party thing", "activity"),
    "faces": ("face", "expression"),
}
"""Words for "a photo of a {}, a type of ...", by category."""

_SIZES = {
    "small": ("small", "tiny", "little"),
    "middle": ("medium",),
    "large": ("large", "big", "huge"),
}
_QUALITIES = {
    "blurry": ("blurry", "blurred"),
    "noisy": ("noisy", "grainy"),
    "grey": ("black and white", "grey"),
    "plain": ("clean", "clear", "good"),
}
_MEDIA = ("photo", "photo", "picture", "image", "drawing", "emoji")
_CONTEXT_WORDS = tuple(
    "a the of photo picture image drawing art this one my nice good very see look type thing small "  # noqa: SIM905
    "large red blue green bright dark with on in and at for from simple real old new big clear "
    "show style icon view light colour object what is here best free set cute shape full".split()
)


@functools.cache
def encode(words: str) -> tuple[int, ...]:
    """BPE tokens of a piece of text, without start and end."""
    return tuple(_tokenizer().encode(words))


@functools.cache
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


def sequence(sentence: str, name: str = "") -> list[int]:
    """[SOS] sentence [EOS] with `name` in the place of braces."""
    before, _, after = sentence.partition("{}")
    tokens = (*encode(before.strip()), *encode(name), *encode(after.strip()))
    return [_tokenizer().sot_token_id, *tokens, _tokenizer().eot_token_id]


def prompt(name: str, category: str, choice: random.Random) -> list[int]:
    """One name in a random template: a quarter "a photo of a", some with meaningless context."""
    draw = choice.random()
    if draw < 0.25:
        template = TEMPLATES[0]
    elif draw < 0.35:
        template = f"a photo of a {{}}, a type of {choice.choice(KINDS[category])}."
    elif draw < 0.47:
        count = choice.randint(1, 6)
        template = " ".join(choice.choices(_CONTEXT_WORDS, k=count)) + " {}."
    else:
        template = choice.choice(TEMPLATES)
    return sequence(template, name)


def vocabulary(names: list[str]) -> list[int]:
    """All tokens that captions about `names` can hold, sorted."""
    tables = (_SIZES, _QUALITIES, KINDS)
    words = [word for table in tables for options in table.values() for word in options]
    sentences = [
        *(template.replace("{}", " ") for template in TEMPLATES),
        *names, *words, *_MEDIA, *_CONTEXT_WORDS, *PATTERNS, *COLOUR_NAMES,
        "a the of on background partly hidden tilted upright in full view, a type of.",
    ]  # fmt: skip
    pieces = [piece for sentence in sentences for piece in (sentence, sentence + ".")]
    found = {token for piece in pieces for token in sequence(piece)}
    found |= {token for template in TEMPLATES for token in sequence(template, "x")}
    found |= {token for kind in words for token in sequence(f"{{}}, a type of {kind}.")}
    return sorted(found)


@dataclass(frozen=True)
class Facts:
    """What is true of a scene, in words. Empty strings where nothing can be said."""

    size: str
    quality: str
    pattern: str
    colour: str
    tilted: bool
    hidden: bool


def facts(scenes: Scenes, row: int) -> Facts:
    """The facts of one scene of a batch."""
    scale = float(scenes.scale[row])
    size = "small" if scale < 0.55 else "large" if scale > 0.95 else "middle"
    quality = "plain"
    if bool(scenes.noisy[row]):
        quality = "noisy"
    if bool(scenes.blurred[row]):
        quality = "blurry"
    if bool(scenes.grey[row]):
        quality = "grey"
    colour = int(scenes.colour[row])
    seen_colour = colour >= 0 and quality != "grey"
    pattern = PATTERNS[int(scenes.pattern[row])]
    return Facts(
        size=size,
        quality=quality,
        pattern="" if bool(scenes.cropped[row]) else pattern,
        colour=COLOUR_NAMES[colour] if seen_colour else "",
        tilted=abs(float(scenes.tilt[row])) > 0.3,
        hidden=bool(scenes.hidden[row]),
    )


def captions(name: str, true: Facts, choice: random.Random, wrong: int) -> list[list[int]]:
    """The caption of a scene, then `wrong` ones of the same form that do not hold."""
    told = {field for field in ("size", "quality", "pattern", "colour") if choice.random() < 0.55}
    told |= {field for field in ("tilted", "hidden") if choice.random() < 0.3}
    told = {field for field in told if getattr(true, field) != ""} or {"size"}
    seed = choice.random()
    variants = [true, *(_changed(true, told, choice) for _ in range(wrong))]
    return [sequence(_sentence(fact, told, random.Random(seed)), name) for fact in variants]


def _changed(true: Facts, told: set[str], choice: random.Random) -> Facts:
    """`true` with one or two of the told facts replaced by others."""
    changed = true
    fields = sorted(told)
    for field in choice.sample(fields, k=min(len(fields), choice.choice((1, 1, 2)))):
        options: tuple[str | bool, ...] = {
            "size": tuple(_SIZES),
            "quality": tuple(_QUALITIES),
            "pattern": PATTERNS,
            "colour": COLOUR_NAMES,
        }.get(field, (True, False))
        now = getattr(true, field)
        other = choice.choice([option for option in options if option != now])
        changed = replace(changed, **{field: other})  # type: ignore[arg-type]
    return changed


def _sentence(fact: Facts, told: set[str], choice: random.Random) -> str:
    words = [choice.choice(("a", "a", "the"))]
    if "quality" in told:
        words.append(_word(_QUALITIES, fact.quality, choice))
    words += [choice.choice(_MEDIA), "of", choice.choice(("a", "a", "the"))]
    if "hidden" in told and fact.hidden:
        words.append("partly hidden")
    if "size" in told:
        words.append(_word(_SIZES, fact.size, choice))
    if "tilted" in told:
        words.append("tilted" if fact.tilted else "upright")
    words.append("{}")
    ground = [getattr(fact, field) for field in ("pattern", "colour") if field in told]
    if ground:
        words += ["on a", *ground, "background"]
    if "hidden" in told and not fact.hidden:
        words.append("in full view")
    return " ".join(words) + "."


def _word(table: dict[str, tuple[str, ...]], key: str, choice: random.Random) -> str:
    position = choice.random()  # drawn in the same way for every key, so that forms agree
    return table[key][int(position * len(table[key]))]
