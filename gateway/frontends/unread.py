"""Refuse requests unread that would wait to be admitted in vain."""

from __future__ import annotations

from gateway.core.criticality import criticality_of
from gateway.core.messages import RequestContext
from gateway.core.unread import UnreadRequest
from gateway.frontends.server import Server


async def refuse_unread(server: Server, name: str, version: str, context: RequestContext) -> None:
    """Return when the request for ``name`` should be read; called only where the catalog is ``guarded``.

    A request that may get a cached answer needs no place, and where a model has several versions, routing says which
    one it is for: all those are read.

    Raises:
        Overloaded: it would wait in vain.
        RateLimited: its client asks too often.
        InvalidRequest: the header that says how critical it is says something else.
    """
    model = server.catalog.only(name, version)
    if model is None or model.cached or model.gate is None or not model.gate.waiting:
        return
    if model.gate.hopeless(context, criticality_of(context)):
        await server.infer(UnreadRequest(name, (), context, version))
