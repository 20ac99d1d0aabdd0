"""Training a prompt: the published loop, its checkpoints and its record."""

from vlprompt.training.history import EpochResult, TrainingHistory
from vlprompt.training.loop import train

__all__ = ["EpochResult", "TrainingHistory", "train"]
