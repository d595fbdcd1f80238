"""The tables of docs/protocols.md, from the registries that the doors and codecs are made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.codecs.forms import FORMS
from gateway.frontends import grpc_server, http
from gateway.frontends.operations import Operation

_TITLES = {"oip": "Open Inference Protocol v2", "tfserving": "TensorFlow Serving", "torchserve": "TorchServe"}


@dataclass(slots=True, frozen=True)
class Entry:
    """One row: ``protocol`` as in the configuration, ``transport`` HTTP or gRPC."""

    protocol: str
    transport: str
    operation: Operation


def entries() -> Iterator[Entry]:
    """Every operation, door by door."""
    for protocol in _TITLES:
        for transport, doors in (("HTTP", http.DOORS), ("gRPC", grpc_server.DOORS)):
            if protocol in doors:
                yield from (Entry(protocol, transport, operation) for operation in doors[protocol].operations)


def markdown() -> str:
    """The table as Markdown, one section a protocol."""
    lines: list[str] = []
    section = ("", "")
    for entry in entries():
        if section != (entry.protocol, entry.transport):
            section = (entry.protocol, entry.transport)
            lines += ["", f"### {_TITLES[entry.protocol]} over {entry.transport}", ""]
            lines += ["| operation | what | who | implemented |", "|---|---|---|---|"]
        operation = entry.operation
        name = operation.path if entry.transport == "gRPC" else f"{operation.method} {operation.path}"
        stream = " (stream)" if operation.method == "stream" else ""
        implemented = f"no: {operation.missing}" if operation.missing else "yes"
        lines.append(f"| `{name}`{stream} | {operation.summary} | {operation.access} | {implemented} |")
    return "\n".join(lines).strip() + "\n"


def carried() -> str:
    """What each form of each protocol cannot carry, as Markdown."""
    lines = ["| form | datatypes it cannot carry | values |", "|---|---|---|"]
    for form in FORMS:
        refused = "; ".join(f"{datatype}: {reason}" for datatype, reason in form.refused.items())
        values = "; ".join(f"{kind}: {outcome}" for kind, outcome in form.values.items())
        lines.append(f"| {form.title} | {refused or 'none'} | {values or 'all'} |")
    return "\n".join(lines) + "\n"
