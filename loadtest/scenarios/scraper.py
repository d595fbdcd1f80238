"""A scraper in a process of its own, as Prometheus is: its work must not be taken for the load generator's.

    python -m loadtest.scenarios.scraper URL

Fetches the page once for each line that it reads, and answers with a line: empty, or why there is no page.
"""

from __future__ import annotations

import http.client
import sys
from urllib.parse import urlsplit

_TIMEOUT = 10.0
# OpenMetrics first, as Prometheus asks.
_HEADERS = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


def main() -> None:
    """Serve the lines of standard input."""
    url = urlsplit(sys.argv[1])
    connection = http.client.HTTPConnection(url.netloc, timeout=_TIMEOUT)
    for _ in sys.stdin:
        sys.stdout.write(f"{_fetch(connection, url.path)}\n")
        sys.stdout.flush()


def _fetch(connection: http.client.HTTPConnection, path: str) -> str:
    was_open = connection.sock is not None
    try:
        status = _get(connection, path)
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        # A server may close a connection that was idle since the last page; Prometheus opens another one then.
        return _fetch(connection, path) if was_open else str(error) or type(error).__name__
    return "" if status == http.client.OK else f"HTTP {status}"


def _get(connection: http.client.HTTPConnection, path: str) -> int:
    connection.request("GET", path, headers=_HEADERS)
    answer = connection.getresponse()
    answer.read()
    return answer.status


if __name__ == "__main__":
    main()
