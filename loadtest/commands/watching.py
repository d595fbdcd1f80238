"""The live view: what the recorder of a running block has, once a second, on one line."""

from __future__ import annotations

import time

from rich.console import Console

from loadtest.generator.recorder import Recorder
from loadtest.load.loads import AnyLoad, Constant, Poisson
from loadtest.measure.experiment import Watcher
from loadtest.measure.subject import Watch
from loadtest.report.live import LiveLine


def watcher_on(console: Console) -> Watcher:
    """A live line for each block on ``console``."""

    def watch(target: str, load: AnyLoad, seconds: float) -> Watch:
        line = LiveLine(console, target, seconds)
        offered = load.rate if isinstance(load, Constant | Poisson) else None
        answers = failures = 0
        looked = time.perf_counter()

        def look(recorder: Recorder) -> None:
            nonlocal answers, failures, looked
            before, looked = looked, time.perf_counter()
            times = recorder.response_times(answers)
            line.update(times, looked - before, recorder.failures - failures, recorder.in_flight, offered)
            answers += len(times)
            failures = recorder.failures

        return look

    return watch
