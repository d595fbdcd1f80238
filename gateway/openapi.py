"""An OpenAPI description of the HTTP port: the paths from the registry of operations, the bodies from openapi.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from gateway import __version__
from gateway.frontends.http import DOORS
from gateway.frontends.operations import Access, Operation

_PARAMETER = re.compile(r"\{(\w+)\}")
_CHOICE = re.compile(r"(/versions/\{version\}|/labels/\{label\}|/\{version\})")
_JSON, _BINARY, _TEXT = "application/json", "application/octet-stream", "text/plain"
_REASONS = {
    400: "the request is wrong; of health and readiness: not ready",
    401: "a valid token is needed",
    403: "not allowed on this port",
    404: "no such model, version, label, backend or path",
    405: "another verb is expected",
    408: "the request, or its answer, took too long",
    409: "it contradicts the present state",
    413: "over a limit",
    429: "asked too often, or overloaded; Retry-After says when to come back",
    431: "the head is over the limit",
    501: "not supported; the message says why",
    503: "not now; the same request may succeed later, and Retry-After, if there is one, says when",
    504: "the deadline is over",
}


def document() -> dict[str, Any]:
    """The description of a port with all protocols; where two offer the same operation, the first one answers."""
    common = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    paths: dict[str, dict[str, Any]] = {}
    for protocol, door in DOORS.items():
        for operation in door.operations:
            paths.setdefault(operation.path, {}).setdefault(
                operation.method.lower(), _describe(protocol, operation, common)
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Serving gateway",
            "version": __version__,
            "description": "The Open Inference Protocol, TensorFlow Serving's REST API and TorchServe's on one port.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8000"}],
        "tags": [{"name": name} for name in DOORS],
        "paths": paths,
        "components": {
            "schemas": common["schemas"],
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _describe(protocol: str, operation: Operation, common: dict[str, Any]) -> dict[str, Any]:
    key = f"{operation.method} {_CHOICE.sub('', operation.path)}"
    bodies: dict[str, Any] = common["bodies"].get(key, {})
    described: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "-", f"{protocol}-{operation.method.lower()}-{operation.path}").strip("-"),
        "tags": [protocol],
        "summary": operation.summary,
        "parameters": [
            *map(_in_path, _PARAMETER.findall(operation.path)),
            *map(_in_query, common["queries"].get(key, [])),
        ],
        "responses": _answers(protocol, operation, bodies),
    }
    if "request" in bodies:
        described["requestBody"] = {"content": _content(bodies["request"], binary=bodies.get("binary", False))}
    if operation.access is Access.ADMIN:
        described["security"] = [{"token": []}]
    if operation.missing:
        described["description"] = f"Not implemented: {operation.missing}"
    return described


def _answers(protocol: str, operation: Operation, bodies: dict[str, Any]) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    if not operation.missing:
        answers["200"] = {"description": "done"}
        if "answer" in bodies:
            answers["200"]["content"] = _content(bodies["answer"], binary=bodies.get("binary", False))
    errors: dict[str, Any] = _reference("Error")
    if protocol == "torchserve":  # where it speaks KServe's protocols, their clients find what they look for
        errors = {"anyOf": [errors, _reference("TorchServeError")]}
    if operation.path.endswith("/ready"):
        errors = {"anyOf": [errors, _reference("Ready")]}
    # Plain text comes from below the protocols: where the request is no proper HTTP.
    content = {_JSON: {"schema": errors}, _TEXT: {"schema": {"type": "string"}}}
    return answers | {str(status): {"description": text, "content": content} for status, text in _REASONS.items()}


def _content(schema: str, *, binary: bool) -> dict[str, Any]:
    content: dict[str, Any] = {_JSON: {"schema": _reference(schema)}}
    return content | {_BINARY: {}} if binary else content


def _reference(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _in_path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _in_query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "string"}}
