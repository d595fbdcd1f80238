from __future__ import annotations

from contextlib import nullcontext

import pytest
import uvloop

from loadtest.calibration import calibrate as module
from loadtest.calibration.calibrate import calibrate
from loadtest.calibration.null_server import Transport, null_server
from loadtest.errors import Failed


@pytest.mark.parametrize("transport", ["HTTP", "gRPC"])
def test_ceiling_and_floor_of_a_server_with_a_known_delay(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    delay = 0.02
    monkeypatch.setattr(module, "null_server", lambda transport: null_server(transport, delay=delay))
    found = uvloop.run(calibrate(transport, seconds=0.4))
    assert found.transport == transport
    assert delay <= found.floor_p50 <= found.floor_p99
    # 64 in flight, each of which takes the delay at least.
    assert 0 < found.ceiling <= 64 / delay * 1.06  # the last round may end in the window or not


def test_server_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "null_server", lambda transport: nullcontext("127.0.0.1:1"))
    with pytest.raises(Failed, match=r"^the null server cannot be reached: connect: Connection refused$"):
        uvloop.run(calibrate("HTTP"))
