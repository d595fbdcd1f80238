"""Let a listening socket finish the handshakes that have begun and begin no new ones.

Closing a listener resets every connection that its client already takes for open: those in the accept queue, and
those whose last handshake packet is under way. Linux has no call for "no new ones, but finish these"; a socket filter
that drops connection requests has that effect. Such a client tries again a second later, and is refused by then.
"""

from __future__ import annotations

import ctypes
import socket
import struct

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h; the socket module does not name it
# A classic BPF program on the TCP header: of byte 13, the flags, SYN without ACK is dropped.
_PROGRAM = (
    (0x30, 0, 0, 13),  # load byte 13
    (0x54, 0, 0, 0x12),  # keep SYN and ACK
    (0x15, 0, 1, 0x02),  # SYN alone: go on, else skip one
    (0x06, 0, 0, 0),  # drop
    (0x06, 0, 0, 0xFFFFFFFF),  # pass
)


def drop_connection_requests(listener: socket.socket) -> None:
    """Drop new connection requests to ``listener`` from now on.

    Raises:
        OSError: the kernel takes no filters.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in _PROGRAM))
    listener.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(_PROGRAM), ctypes.addressof(program))
    )
