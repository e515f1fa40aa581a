"""Model weights for the embedded engine: a catalogue of names, and the files on this machine."""

from agentrt.backends.models.cache import ModelStatus, list_models, locate, models_dir, resolve
from agentrt.backends.models.catalogue import CATALOGUE, DEFAULT_MODEL, ModelEntry
from agentrt.backends.models.download import pull
from agentrt.backends.models.source import OnProgress

__all__ = [
    "CATALOGUE",
    "DEFAULT_MODEL",
    "ModelEntry",
    "ModelStatus",
    "OnProgress",
    "list_models",
    "locate",
    "models_dir",
    "pull",
    "resolve",
]
