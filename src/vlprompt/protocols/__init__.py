"""The published ways to train and test, one file each. Importing this does not import torch."""

from vlprompt.experiments.protocol import Protocol
from vlprompt.protocols.ablation import ABLATION
from vlprompt.protocols.base_to_new import BASE_TO_NEW
from vlprompt.protocols.class_incremental import CLASS_INCREMENTAL
from vlprompt.protocols.cross_dataset import CROSS_DATASET
from vlprompt.protocols.domain_shift import DOMAIN_SHIFT
from vlprompt.protocols.few_shot import FEW_SHOT

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (BASE_TO_NEW, FEW_SHOT, CROSS_DATASET, DOMAIN_SHIFT, CLASS_INCREMENTAL, ABLATION)
}
"""By name. One more is a file and a row here."""

__all__ = [
    "ABLATION",
    "BASE_TO_NEW",
    "CLASS_INCREMENTAL",
    "CROSS_DATASET",
    "DOMAIN_SHIFT",
    "FEW_SHOT",
    "PROTOCOLS",
    "Protocol",
]
