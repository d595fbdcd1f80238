"""How much a request matters when not all can be served: who is refused first, and who last."""

from __future__ import annotations

from enum import IntEnum

from gateway.core.errors import InvalidRequest
from gateway.core.messages import RequestContext

HEADER = "x-gateway-priority"


class Criticality(IntEnum):
    """The lower, the more a request matters. Not OIP's ``priority``, which orders requests that are as critical."""

    CRITICAL = 0
    DEFAULT = 1
    SHEDDABLE = 2

    @property
    def label(self) -> str:
        """As clients and metrics call it."""
        return self.name.lower()


_BY_LABEL = {criticality.label: criticality for criticality in Criticality}


def criticality_of(context: RequestContext) -> Criticality:
    """What the client says in its header or metadata.

    Raises:
        InvalidRequest: it says something else.
    """
    text = context.header(HEADER)
    if text is None:
        return Criticality.DEFAULT
    found = _BY_LABEL.get(text.strip().lower())
    if found is None:
        raise InvalidRequest(f"{HEADER}: one of {', '.join(_BY_LABEL)} is expected, got {text[:40]!r}")
    return found
