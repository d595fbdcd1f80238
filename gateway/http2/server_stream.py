"""What a server's connection and the requests on it know of each other."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from gateway.core.tensors import Buffer
from gateway.http2 import frames as http2

MAX_FRAME = 2**20  # octets
MAX_HEADERS = 16 * 1024  # octets of names and values of a request with 32 for each, which clients are told


@dataclass(slots=True, frozen=True)
class Bounds:
    """What one connection may take: requests under way, octets of a stream unread, seconds for head and body."""

    streams: int
    window: int
    head_seconds: float
    body_seconds: float

    def greeting(self) -> bytes:
        """What the client is told of them."""
        settings = {
            http2.MAX_CONCURRENT_STREAMS: self.streams,
            http2.INITIAL_WINDOW_SIZE: self.window,
            http2.MAX_FRAME_SIZE: MAX_FRAME,
            http2.MAX_HEADER_LIST_SIZE: MAX_HEADERS,
        }
        # That of the connection is as good as none: each stream has its own, and there are so many of them.
        enlargement = http2.number(http2.GREATEST_WINDOW - http2.FIRST_WINDOW)
        return http2.frame(http2.SETTINGS, payload=http2.settings(settings)) + http2.frame(
            http2.WINDOW_UPDATE, payload=enlargement
        )


class ServerStream(abc.ABC):
    """A request as it comes in. Its answer is written through the connection.

    Attributes:
        complete: whether all of the request is here.
        endless: whether that may take as long as the client likes.
    """

    __slots__ = ("complete",)
    endless = False

    def __init__(self) -> None:
        self.complete = False

    @abc.abstractmethod
    def begin(self) -> None:
        """The head of the request is here; it may be answered from now on."""

    @abc.abstractmethod
    def data(self, payload: Buffer) -> None:
        """A piece of the body, which is valid for as long as this takes."""

    @abc.abstractmethod
    def end(self) -> None:
        """The request is complete."""

    @abc.abstractmethod
    def late(self) -> None:
        """The request is not complete after all the time that it had: answer it."""

    @abc.abstractmethod
    def drained(self) -> None:
        """What was sent has left, after ``Answers.send`` had returned False."""

    @abc.abstractmethod
    def abandoned(self) -> None:
        """The client has given up, or is gone: write nothing more, and call ``ServerConnection.unwound``."""
