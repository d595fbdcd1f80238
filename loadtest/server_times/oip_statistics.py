"""Triton's statistics extension, which the gateway and its ONNX Runtime server have too."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

import msgspec

from loadtest.clock import NS
from loadtest.server_times.fetch import fetch
from loadtest.server_times.snapshot import Snapshot

SOURCE = "OIP statistics"
_PARTS = ("queue", "compute_input", "compute_infer", "compute_output")


class _Duration(msgspec.Struct, frozen=True):
    count: int = 0
    ns: int = 0


class _Inferences(msgspec.Struct):
    success: _Duration = _Duration()
    queue: _Duration = _Duration()
    compute_input: _Duration = _Duration()
    compute_infer: _Duration = _Duration()
    compute_output: _Duration = _Duration()


class _Model(msgspec.Struct):
    inference_stats: _Inferences


class _Document(msgspec.Struct):
    model_stats: list[_Model]


class OipStatistics:
    """Reads the counters of ``models`` (names), all their versions added up, from the server at ``base`` (a URL)."""

    def __init__(self, base: str, models: Sequence[str], token: str = "") -> None:
        self._urls = [f"{base}/v2/models/{quote(model, safe='')}/stats" for model in models]
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def read(self) -> Snapshot | None:
        """See ``Probe``."""
        bodies = await fetch(self._urls, self._headers)
        return None if bodies is None else parse(bodies)


def parse(bodies: Sequence[bytes]) -> Snapshot | None:
    """The counters in the answers for several models, added up; None when one is not such an answer."""
    try:
        documents = [msgspec.json.decode(body, type=_Document, strict=False) for body in bodies]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    models = [model.inference_stats for document in documents for model in document.model_stats]
    return Snapshot(
        source=SOURCE,
        requests=sum(model.success.count for model in models),
        seconds={part: sum(getattr(model, part).ns for model in models) / NS for part in _PARTS},
    )
