"""The program of a worker: ``python -m loadtest.frameworks FD``, with one end of a connection as that descriptor.

Not by ``multiprocessing``: that would import the parent's main module, and so the whole load tester, into every
framework's process, and count it as the framework's memory.
"""

from __future__ import annotations

import sys
from multiprocessing.connection import Connection

from loadtest.frameworks.worker import serve

if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
