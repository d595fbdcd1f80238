"""``python -m benchmarks``: measure, print the table, write it down."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from rich.console import Console

from benchmarks.errors import CannotMeasure, Interrupted
from benchmarks.markdown import markdown, write_into
from benchmarks.matrix import FULL, QUICK
from benchmarks.peers import PEERS
from benchmarks.run import Run
from benchmarks.table import table
from loadtest.progress import console_progress
from model_store.errors import StoreError
from model_store.store import ModelStore, default_root

FOLDER = Path(".bench")
_FAILURE, _INTERRUPTED = 1, 130


def main() -> int:
    """0, also when some server could not be measured: the table says which and why."""
    options = _arguments()
    peers = [peer for peer in PEERS if not options.peer or peer.name in options.peer]
    run = Run(QUICK if options.quick else FULL, peers, FOLDER, console_progress(Console(stderr=True)))
    stopped = False
    try:
        uvloop.run(_until_stopped(run))
    except (CannotMeasure, StoreError) as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        return _FAILURE
    except (Interrupted, KeyboardInterrupt, asyncio.CancelledError):
        stopped = True
    result = run.result
    print(table(result))  # noqa: T201
    options.output.mkdir(parents=True, exist_ok=True)
    stem = options.output / f"benchmarks-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    stem.with_suffix(".json").write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    stem.with_suffix(".md").write_text(markdown(result) + "\n", encoding="utf-8")
    print(f"Wrote {stem}.json and .md", file=sys.stderr)  # noqa: T201
    if stopped:
        return _INTERRUPTED
    if options.write:
        write_into(options.write, markdown(result))
    return 0


async def _until_stopped(run: Run) -> None:
    # SIGINT cancels already; a service manager's SIGTERM must not leave servers behind either.
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await run.measure(ModelStore(default_root()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="five minutes: fewer loads, shorter blocks")
    names = [peer.name for peer in PEERS]
    parser.add_argument("--peer", action="append", choices=names, help="only this one of them (repeatable)")
    parser.add_argument("--output", type=Path, default=Path("reports"), help="folder of the results")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page, between its marks")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
