"""System shared memory: segments that clients on this machine register, and read and write tensors in.

A segment is read and written with system calls and not mapped: its owner may shorten it at any time, and touching a
mapped page that is gone would end the process. What is read is a copy, so that it cannot change once it is checked.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from gateway.codecs.shared_memory import Window
from gateway.core.errors import Conflict, InvalidRequest, NotFound, PermissionDenied
from gateway.core.tensors import Buffer
from gateway.frontends.authorization import Caller

# Segments that may be registered at a time; each holds a file descriptor, of which a process often has but 1024.
MAX_REGIONS = 256

# Where POSIX shared memory is a file on Linux.
_FOLDER = Path("/dev/shm")  # noqa: S108 - the fixed place of the segments, and no temporary file of ours
_KEY = re.compile(r"/?([^/\0]{1,255})")


@dataclass(slots=True, frozen=True)
class Region:
    """A registered part of a segment: ``byte_size`` bytes from ``offset`` in the segment called ``key``."""

    name: str
    key: str
    offset: int
    byte_size: int
    descriptor: int


class SharedMemoryRegions:
    """What is registered in this process, by name."""

    def __init__(self) -> None:
        self._regions: dict[str, Region] = {}

    def register(self, name: str, key: str, offset: int, byte_size: int) -> None:
        """Open the segment called ``key`` and make a part of it known as ``name``.

        Raises:
            InvalidRequest: a name or a key that cannot be one, or a part that is not within the segment.
            NotFound: there is no such segment, or none that the gateway's user may use.
            Conflict: the name is taken, or too many are registered.
        """
        if not name:
            raise InvalidRequest("name: the region needs one")
        if name in self._regions:
            raise Conflict(f"shared memory region {name!r} is registered already")
        if len(self._regions) >= MAX_REGIONS:
            raise Conflict(f"{MAX_REGIONS} shared memory regions are registered, which is the limit")
        descriptor = _open(key)
        size = os.fstat(descriptor).st_size
        if byte_size == 0 or offset + byte_size > size:
            os.close(descriptor)
            raise InvalidRequest(f"byte_size: {byte_size} bytes from {offset} are not within the segment of {size}")
        self._regions[name] = Region(name, key, offset, byte_size, descriptor)

    def unregister(self, name: str) -> None:
        """Forget ``name``, or everything when it is empty; what is not registered is no error."""
        for known in [name] if name else list(self._regions):
            region = self._regions.pop(known, None)
            if region is not None:
                os.close(region.descriptor)

    def status(self, name: str) -> list[Region]:
        """The region called ``name``, or all when it is empty.

        Raises:
            NotFound: it is not registered.
        """
        return [self._get(name, "name")] if name else list(self._regions.values())

    def seen_by(self, caller: Caller) -> CallersMemory:
        """The regions as ``caller`` may use them in its requests."""
        return CallersMemory(self, caller)

    def check(self, window: Window, field: str) -> None:
        """Return when ``window`` can be reached; see ``gateway.codecs.shared_memory.SharedMemory``."""
        self._checked(window, field)

    def read(self, window: Window, field: str) -> bytes:
        """What is in ``window``; see ``gateway.codecs.shared_memory.SharedMemory``."""
        region = self._checked(window, field)
        data = os.pread(region.descriptor, window.byte_size, region.offset + window.offset)
        if len(data) != window.byte_size:
            raise InvalidRequest(f"{field}: the segment of shared memory region {region.name!r} has become shorter")
        return data

    def write(self, window: Window, data: Buffer, field: str) -> None:
        """Put ``data`` at the start of ``window``; see ``gateway.codecs.shared_memory.SharedMemory``."""
        region = self._checked(window, field)
        view = memoryview(data).cast("B")
        if view.nbytes > window.byte_size:
            raise InvalidRequest(
                f"{field}: {view.nbytes} bytes do not fit into the {window.byte_size} of shared memory"
            )
        if os.pwrite(region.descriptor, view, region.offset + window.offset) != view.nbytes:
            raise InvalidRequest(f"{field}: shared memory region {region.name!r} cannot be written")

    def _checked(self, window: Window, field: str) -> Region:
        region = self._get(window.region, field)
        if window.offset + window.byte_size > region.byte_size:
            raise InvalidRequest(
                f"{field}: {window.byte_size} bytes from {window.offset} are not within "
                f"shared memory region {region.name!r} of {region.byte_size}"
            )
        return region

    def _get(self, name: str, field: str) -> Region:
        region = self._regions.get(name)
        if region is None:
            raise NotFound(f"{field}: shared memory region {name!r} is not registered")
        return region


@dataclass(slots=True, frozen=True)
class CallersMemory:
    """The regions, for callers on this machine only; nobody is asked where it is before it uses them."""

    regions: SharedMemoryRegions
    caller: Caller

    def check(self, window: Window, field: str) -> None:
        """See ``SharedMemoryRegions.check``; raises PermissionDenied for callers elsewhere."""
        require_this_machine(self.caller)
        self.regions.check(window, field)

    def read(self, window: Window, field: str) -> bytes:
        """See ``SharedMemoryRegions.read``; raises PermissionDenied for callers elsewhere."""
        require_this_machine(self.caller)
        return self.regions.read(window, field)

    def write(self, window: Window, data: Buffer, field: str) -> None:
        """See ``SharedMemoryRegions.write``; raises PermissionDenied for callers elsewhere."""
        require_this_machine(self.caller)
        self.regions.write(window, data, field)


def require_this_machine(caller: Caller) -> None:
    """Return when ``caller`` is on this machine.

    Raises:
        PermissionDenied: it is elsewhere.
    """
    if not caller.on_this_machine:
        raise PermissionDenied("shared memory is for callers on this machine")


def _open(key: str) -> int:
    match = _KEY.fullmatch(key)
    if match is None or match[1] in (".", ".."):
        raise InvalidRequest(f"key: the name of a POSIX shared memory segment is expected, got {key[:80]!r}")
    try:
        # Without blocking, because what has the name may be a pipe.
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(_FOLDER / match[1], flags)
    except OSError as error:
        reason = (
            "it is no segment" if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO) else "it cannot be opened"
        )
        raise NotFound(f"key: shared memory segment {key!r}: {reason}") from None
    except UnicodeEncodeError:
        raise InvalidRequest("key: it cannot be the name of a segment") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotFound(f"key: shared memory segment {key!r}: it is no segment")
    return descriptor
