"""The models that ship, one file each. A definition is light to import; its functions import the frameworks."""

from __future__ import annotations

import importlib

from model_store.definitions.base import ModelDefinition
from model_store.errors import UnknownDefinition

# Name → the module that defines it as MODEL.
DEFINITIONS: dict[str, str] = {
    "digits-forest": "model_store.definitions.digits_forest",
    "digits-keras": "model_store.definitions.digits_keras",
    "digits-mlp": "model_store.definitions.digits_mlp",
    "efficientnet-lite0": "model_store.definitions.efficientnet_lite0",
    "minilm": "model_store.definitions.minilm",
}


def get_definition(name: str) -> ModelDefinition:
    """The definition called ``name``.

    Raises:
        UnknownDefinition: there is none; the message lists those that exist.
    """
    if name not in DEFINITIONS:
        raise UnknownDefinition(f"no model definition {name!r}; one of {', '.join(DEFINITIONS)} is expected")
    definition: ModelDefinition = importlib.import_module(DEFINITIONS[name]).MODEL
    return definition
