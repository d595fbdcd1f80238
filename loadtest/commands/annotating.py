"""``--annotate``: marks a run in a Grafana, so that its dashboards show which load made the curves."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from urllib.parse import urlsplit

import aiohttp

from loadtest.errors import BadSpec
from loadtest.report.annotation import annotation
from loadtest.report.digest import Digest

TOKEN_VARIABLE = "GRAFANA_TOKEN"  # noqa: S105
_SECONDS = 5.0


def check_grafana(url: str) -> None:
    """Make sure that ``url`` can be the address of a Grafana; it may hold a user and a password.

    Raises:
        BadSpec: it cannot.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadSpec("--annotate: the address of a Grafana such as http://127.0.0.1:3000 is expected")


async def annotate(made: Digest, grafana: str) -> str:
    """Mark ``made``, which ends now; why Grafana did not take it, or an empty string.

    The token in $GRAFANA_TOKEN is sent, unless the address holds a user and a password.
    """
    token = "" if urlsplit(grafana).username else os.environ.get(TOKEN_VARIABLE, "")
    headers = {"Authorization": f"Bearer {token}"} if token else None
    url, body = f"{grafana.rstrip('/')}/api/annotations", annotation(made, datetime.now(UTC))
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_SECONDS)) as session,
            session.post(url, json=body, headers=headers, allow_redirects=False) as answer,
        ):
            return "" if answer.status == 200 else f"HTTP {answer.status} {answer.reason}"
    except TimeoutError:
        return f"no answer within {_SECONDS:g} s"
    except (aiohttp.ClientError, OSError) as error:
        return str(error)
