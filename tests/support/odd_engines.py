"""Engines for the worker processes of ``loadtest frameworks``: one that is well, and every way not to be."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from model_store.errors import EngineError

Arrays = Mapping[str, npt.NDArray[Any]]


class Doubler:
    """y = 2·x; ``spoil`` is called before each inference with its number, from 0."""

    kind = "doubler"
    version = "1.2"
    device = "cpu"

    def __init__(self, factor: float = 2.0) -> None:
        self.inferences = 0
        self._factor = np.float32(factor)

    def spoil(self, number: int) -> None:
        """Do what this engine does wrong; nothing."""

    def run(self, inputs: Arrays) -> dict[str, npt.NDArray[Any]]:
        self.spoil(self.inferences)
        self.inferences += 1
        return {"y": inputs["x"] * self._factor}


class Slow(Doubler):
    """Takes a millisecond of CPU time."""

    def spoil(self, number: int) -> None:
        end = time.perf_counter_ns() + 1_000_000
        while time.perf_counter_ns() < end:
            pass


class Crasher(Doubler):
    """Ends its process by a segmentation fault's signal in the 41st inference, with last words."""

    def spoil(self, number: int) -> None:
        if number == 40:
            os.write(2, b"libcrash: cannot go on\n\n")
            signal.signal(signal.SIGSEGV, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGSEGV)


class Hanger(Doubler):
    """Does not come back from the 41st inference."""

    def spoil(self, number: int) -> None:
        if number == 40:
            threading.Event().wait()


class Victim(Doubler):
    """Is killed as the kernel kills for want of memory."""

    def spoil(self, number: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Hungry(Doubler):
    """Asks for more memory than there is."""

    def spoil(self, number: int) -> None:
        raise MemoryError


class Refuser(Doubler):
    """Raises as frameworks do: with a page of explanations, of which the first line counts."""

    def spoil(self, number: int) -> None:
        if number == 40:
            raise RuntimeError("shapes do not match\nhere is a page of advice")


def doubler(threads: int) -> Doubler:
    return Doubler()


def slow(threads: int) -> Doubler:
    return Slow()


def tripler(threads: int) -> Doubler:
    return Doubler(3.0)


def crasher(threads: int) -> Doubler:
    return Crasher()


def hanger(threads: int) -> Doubler:
    return Hanger()


def victim(threads: int) -> Doubler:
    return Victim()


def hungry(threads: int) -> Doubler:
    return Hungry()


def refuser(threads: int) -> Doubler:
    return Refuser()


def missing(threads: int) -> Doubler:
    raise EngineError("the engine needs the package 'nowhere'; install it with: pip install nowhere")


def leaver(threads: int) -> Doubler:
    os._exit(3)


def sleeper(threads: int) -> Doubler:
    threading.Event().wait()
    raise AssertionError
