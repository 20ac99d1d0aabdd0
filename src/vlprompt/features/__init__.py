"""Image features: computed once, kept on disk, and streamed to training.

`FeatureExtractor` turns images into features; `CachedViews` and `FreshViews` are what training reads epoch by epoch;
`TrainingPixels` and `EvaluationPixels` are the pictures themselves, for methods that read these;
`cache_info` and `clear_cache` look after the disk and do not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlprompt.features.cache import CacheEntry, CacheInfo, cache_folder, cache_info, clear_cache
    from vlprompt.features.extraction import Extracted, FeatureExtractor, UnreadableImagesWarning
    from vlprompt.features.pixels import EvaluationPixels, TrainingPixels
    from vlprompt.features.table import CacheWarning
    from vlprompt.features.views import CachedViews, FreshViews, TrainingFeatures, training_features

_PLACES = {
    "CacheEntry": "cache",
    "CacheInfo": "cache",
    "CacheWarning": "table",
    "CachedViews": "views",
    "EvaluationPixels": "pixels",
    "Extracted": "extraction",
    "FeatureExtractor": "extraction",
    "FreshViews": "views",
    "TrainingFeatures": "views",
    "TrainingPixels": "pixels",
    "UnreadableImagesWarning": "extraction",
    "cache_folder": "cache",
    "cache_info": "cache",
    "clear_cache": "cache",
    "training_features": "views",
}

__all__ = [
    "CacheEntry",
    "CacheInfo",
    "CacheWarning",
    "CachedViews",
    "EvaluationPixels",
    "Extracted",
    "FeatureExtractor",
    "FreshViews",
    "TrainingFeatures",
    "TrainingPixels",
    "UnreadableImagesWarning",
    "cache_folder",
    "cache_info",
    "clear_cache",
    "training_features",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
