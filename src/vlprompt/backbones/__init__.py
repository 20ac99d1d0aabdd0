"""Frozen vision-language models behind one small interface."""

from vlprompt.backbones.backbone import Backbone, ImagePreprocessing, freeze
from vlprompt.backbones.fingerprints import is_fingerprint_of
from vlprompt.backbones.listing import ListedBackbone, listed_backbones
from vlprompt.backbones.openclip import installed_backbone, list_backbones, load_backbone
from vlprompt.backbones.text_tower import TextTower

__all__ = [
    "Backbone",
    "ImagePreprocessing",
    "ListedBackbone",
    "TextTower",
    "freeze",
    "installed_backbone",
    "is_fingerprint_of",
    "list_backbones",
    "listed_backbones",
    "load_backbone",
]
