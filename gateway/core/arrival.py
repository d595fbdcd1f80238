"""Bytes of a known number that are still on their way: each is written once, where it stays."""

from __future__ import annotations

import ctypes

from gateway.core.tensors import Buffer

_WRITABLE = 0x200  # PyBUF_WRITE

_new = ctypes.pythonapi.PyBytes_FromStringAndSize
_new.argtypes, _new.restype = (ctypes.c_void_p, ctypes.c_ssize_t), ctypes.py_object
_address = ctypes.pythonapi.PyBytes_AsString
_address.argtypes, _address.restype = (ctypes.py_object,), ctypes.c_void_p
_view = ctypes.pythonapi.PyMemoryView_FromMemory
_view.argtypes, _view.restype = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int), ctypes.py_object


class Arrival:
    """``size`` bytes, of which ``start`` are there; whoever receives writes into ``room`` and says ``arrived``.

    C extensions make ``bytes`` in this way (``PyBytes_FromStringAndSize`` without contents): nobody sees them before
    they are whole, and no byte is cleared before or copied after.

    Attributes:
        room: where the next bytes belong, up to the last one; valid as long as this is.
        missing: how many they are.

    Raises:
        MemoryError: there is no room for so many.
    """

    __slots__ = ("_bytes", "missing", "room")

    def __init__(self, size: int, start: Buffer = b"") -> None:
        if size < 1 or len(start) > size:  # all empty bytes are one object
            raise ValueError(f"{size} bytes that begin with {len(start)}")
        self._bytes: bytes = _new(None, size)
        self.room: memoryview = _view(_address(self._bytes), size, _WRITABLE)
        self.missing = size
        self.room[: len(start)] = start
        self.arrived(len(start))

    def arrived(self, count: int) -> None:
        """So many bytes were written to the beginning of ``room``."""
        self.room = self.room[count:]
        self.missing -= count

    def whole(self) -> bytes:
        """All of them.

        Raises:
            ValueError: some are missing, and would be what the memory held before.
        """
        if self.missing:
            raise ValueError(f"{self.missing} bytes are missing")
        return self._bytes
