"""JSON Merge Patch (RFC 7396): a document that looks like what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel


def merge_patch(target: Any, patch: Any) -> Any:
    """``target``, a section or a part of one, with what ``patch`` says in its place, as JSON; both stay as they are.

    A list is replaced as a whole. null takes an entry away, and brings a setting back to its default; a setting that
    can be null in a file becomes null.
    """
    if not isinstance(patch, Mapping):
        return patch
    merged = _document(target)
    for key, value in patch.items():
        if value is not None:
            merged[key] = merge_patch(_part(target, key), value)
        elif _may_be_null(target, key):
            merged[key] = None
        else:
            merged.pop(key, None)
    return merged


def _document(target: Any) -> dict[str, Any]:
    if isinstance(target, BaseModel):
        return target.model_dump(mode="json")
    if not isinstance(target, Mapping):
        return {}
    return {key: _document(each) if isinstance(each, BaseModel | Mapping) else each for key, each in target.items()}


def _part(target: Any, key: str) -> Any:
    if isinstance(target, BaseModel):
        return getattr(target, key) if key in type(target).model_fields else None
    return target.get(key) if isinstance(target, Mapping) else None


def _may_be_null(target: Any, key: str) -> bool:
    if not isinstance(target, BaseModel):
        return False
    field = type(target).model_fields.get(key)
    return field is not None and type(None) in get_args(field.annotation)
