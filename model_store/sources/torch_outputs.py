"""What a PyTorch model answers, whatever it is wrapped in, as tensors with names."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from model_store.errors import BuildFailed


def named_tensors(result: Any) -> dict[str, Any]:
    """Every tensor in ``result`` by name; what is None is left out.

    A lone tensor is ``output``, those of a tuple ``output_0`` and on; mappings, named tuples and dataclasses have names
    of their own; what is nested takes both: ``hidden_0``.

    Raises:
        BuildFailed: there is something in it that is no tensor, or no tensor at all.
    """
    found: dict[str, Any] = {}
    sequence = isinstance(result, list | tuple) and not hasattr(result, "_fields")
    _collect(result, "output" if sequence else "", found)
    if not found:
        raise BuildFailed(f"the model's answer, a {type(result).__name__}, holds no tensors")
    return {"output": next(iter(found.values()))} if sequence and len(found) == 1 else found


def _collect(value: Any, name: str, found: dict[str, Any]) -> None:
    if value is None:
        return
    if isinstance(value, torch.Tensor):
        found[name or "output"] = value
        return
    for key, part in _parts(value, name):
        _collect(part, f"{name}_{key}" if name else str(key), found)


def _parts(value: Any, name: str) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        return value.items()
    if hasattr(value, "_fields"):
        return zip(value._fields, value, strict=True)
    if isinstance(value, list | tuple):
        return enumerate(value)
    if dataclasses.is_dataclass(value):
        return ((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))
    where = f"{name!r} is" if name else "there is"
    raise BuildFailed(f"the model's outputs must be tensors, and {where} of type {type(value).__name__}")
