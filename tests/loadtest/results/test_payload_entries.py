from __future__ import annotations

import hashlib

import numpy as np
from support.load_servers import echo_payload

from loadtest.payloads.mix import mixed
from loadtest.results.payload_entries import payload_entries


def test_an_entry_tells_what_was_sent() -> None:
    array = np.arange(4, dtype=np.float32)
    first, second = payload_entries(mixed([(1, [echo_payload(array, "a"), echo_payload(array + 1, "b")])]))
    assert (first.model, first.version, first.label, first.rows, first.weight) == ("echo-FP32-1", "", "a", 1, 0.5)
    assert first.sha256 == hashlib.sha256(array.tobytes()).hexdigest()
    assert first.sha256 != second.sha256
