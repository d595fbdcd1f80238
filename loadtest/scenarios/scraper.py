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
    try:
        connection.request("GET", path, headers=_HEADERS)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return str(error) or type(error).__name__
    return "" if answer.status == http.client.OK else f"HTTP {answer.status}"


if __name__ == "__main__":
    main()
