"""Learn the prompt, keep the model.

The public names load when they are first used, so that `import vlprompt` and `vlprompt --help` are instant; torch is
imported only by what computes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlprompt.backbones import load_backbone as load_backbone
    from vlprompt.classifier import PromptClassifier as PromptClassifier
    from vlprompt.data.catalogue import load_dataset as load_dataset
    from vlprompt.data.samples import Dataset as Dataset
    from vlprompt.data.samples import Sample as Sample
    from vlprompt.errors import VlpromptError as VlpromptError
    from vlprompt.methods import build_method as build_method
    from vlprompt.methods.prompt_learner import PromptOptions as PromptOptions
    from vlprompt.model.published_checkpoints import convert_checkpoint as convert_checkpoint
    from vlprompt.recipes import TrainingSettings as TrainingSettings

__version__ = "0.1.0"

_HOMES = {
    "Dataset": "vlprompt.data.samples",
    "PromptClassifier": "vlprompt.classifier",
    "PromptOptions": "vlprompt.methods.prompt_learner",
    "Sample": "vlprompt.data.samples",
    "TrainingSettings": "vlprompt.recipes",
    "VlpromptError": "vlprompt.errors",
    "build_method": "vlprompt.methods",
    "convert_checkpoint": "vlprompt.model.published_checkpoints",
    "load_backbone": "vlprompt.backbones",
    "load_dataset": "vlprompt.data.catalogue",
}

__all__ = [
    "Dataset",
    "PromptClassifier",
    "PromptOptions",
    "Sample",
    "TrainingSettings",
    "VlpromptError",
    "__version__",
    "build_method",
    "convert_checkpoint",
    "load_backbone",
    "load_dataset",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'vlprompt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
