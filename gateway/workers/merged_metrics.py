"""The metrics pages of all workers as one: every series says of which worker it is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from gateway.http1.reply import Reply
from gateway.http1.request import Request
from gateway.telemetry.page import render
from gateway.workers.crew import Crew

# A scraper waits for all: one worker that hangs must not make it give up on the others. Prometheus waits for 10 s.
_FETCH_SECONDS = 3.0
_END = "# EOF\n"


def merge(own: str, pages: Mapping[int, str]) -> str:
    """``own``, and each other family of ``pages`` (by worker) once, with the samples of all workers; no end mark.

    Lines stay as they are but for the label ``worker``, so that counters, gauges, histograms and exemplars need no
    rules of their own; whoever wants a total sums over the label. What the parent tells, it tells for all.
    """
    mine = {_name(line) for line in own.removesuffix(_END).splitlines() if line.startswith("#")}
    heads: dict[str, list[str]] = {}
    samples: dict[str, list[str]] = {}
    for worker, page in pages.items():
        label, family = f'{{worker="{worker}"', ""
        for line in page.removesuffix(_END).splitlines():
            if not line.startswith("#"):
                samples[family].append(_labelled(line, label))
                continue
            family = _name(line)
            head = heads.setdefault(family, [])
            samples.setdefault(family, [])
            if line not in head:
                head.append(line)
    families = [family for family in heads if family not in mine]
    rest = "".join(f"{line}\n" for family in families for line in (*heads[family], *samples[family]))
    return own.removesuffix(_END) + rest


class MergedMetrics:
    """The application of the parent's metrics port: its own series and those of the workers that answer."""

    def __init__(self, crew: Crew, session: aiohttp.ClientSession) -> None:
        self._crew = crew
        self._session = session

    async def __call__(self, request: Request) -> Reply:
        accept = request.headers.get(b"accept", b"").decode("latin-1")
        own, content_type = render(self._crew.metrics.registry, accept)
        ready = self._crew.ready
        pages = await asyncio.gather(*(self._page(slot.addresses["metrics"], accept) for slot in ready))
        there = {slot.index: page for slot, page in zip(ready, pages, strict=True) if page is not None}
        text = own.decode()
        ending = _END if text.endswith(_END) else ""
        body = await asyncio.to_thread(merge, text, there) + ending
        return Reply(body.encode(), [(b"content-type", content_type.encode())])

    async def _page(self, address: str, accept: str) -> str | None:
        """None when the worker does not answer: it is ending, and its successor counts anew."""
        url, headers = f"http://{address}/metrics", {"Accept": accept}
        try:
            async with asyncio.timeout(_FETCH_SECONDS), self._session.get(url, headers=headers) as answer:
                return await answer.text("utf-8") if answer.status == 200 else None
        except (aiohttp.ClientError, TimeoutError):
            return None


def _name(line: str) -> str:
    """Of the family that a line with ``#`` is about."""
    return line.split(" ", 3)[2]


def _labelled(line: str, label: str) -> str:
    end = line.index(" ")
    brace = line.find("{", 0, end)
    if brace < 0:
        return f"{line[:end]}{label}}}{line[end:]}"
    comma = "" if line[brace + 1] == "}" else ","
    return f"{line[:brace]}{label}{comma}{line[brace + 1 :]}"
