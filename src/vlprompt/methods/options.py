"""The methods' options under the names that earlier releases had here; each class stands in its method's file."""

from vlprompt.methods.clap import CLAPOptions
from vlprompt.methods.gda import GDAOptions
from vlprompt.methods.kgcoop import KgCoOpOptions
from vlprompt.methods.linear_probe import LinearProbeOptions
from vlprompt.methods.lp_plus_plus import LPPlusPlusOptions
from vlprompt.methods.prompt_learner import PromptOptions
from vlprompt.methods.templates import DEFAULT_TEMPLATE
from vlprompt.methods.tip_adapter import TipAdapterOptions
from vlprompt.methods.zero_shot import ENSEMBLE_TEMPLATES, ZeroShotOptions

__all__ = [
    "DEFAULT_TEMPLATE",
    "ENSEMBLE_TEMPLATES",
    "CLAPOptions",
    "GDAOptions",
    "KgCoOpOptions",
    "LPPlusPlusOptions",
    "LinearProbeOptions",
    "PromptOptions",
    "TipAdapterOptions",
    "ZeroShotOptions",
]
