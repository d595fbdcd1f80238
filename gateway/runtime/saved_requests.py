"""The requests of a server's readiness probe as files, for a health check that has no time to make them."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import quote, urlsplit

from gateway.core.criticality import HEADER as CRITICALITY
from gateway.core.criticality import Criticality
from gateway.runtime.launch import Launch
from gateway.runtime.probe import SUFFIX, saved_in
from gateway.runtime.readiness import NotReady, ProbeRequest


def save_requests(launch: Launch, run: Path) -> None:
    """Write one file a model, each a whole HTTP request.

    A server that hands out tokens, which it has yet to make, leaves none: it cannot be asked in this way.
    """
    directory = saved_in(run, launch.name)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for probe in launch.probe.inputs:
        try:
            request = launch.probe.request(probe)
        except NotReady:
            return
        (directory / f"{quote(probe.model, safe='')}{SUFFIX}").write_bytes(as_http(request))


def as_http(request: ProbeRequest) -> bytes:
    """The request as it goes over the wire; the server closes the connection after its answer."""
    parts = urlsplit(request.url)
    headers = {
        "Host": parts.netloc,
        "Connection": "close",
        CRITICALITY: Criticality.CRITICAL.label,  # a server that is busy refusing others must not be restarted for it
        "Content-Length": len(request.body),
        **request.headers,
    }
    lines = [f"POST {quote(parts.path, safe='/:%')} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + request.body
