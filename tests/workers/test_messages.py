import pytest

from gateway.core.log_settings import LogSettings
from gateway.workers.messages import Alive, Beat, Configure, Configured, Failed, Ready, WriteLogs, decode, encode


@pytest.mark.parametrize(
    "message",
    [
        Configure('{"workers":\n2}'),
        WriteLogs(LogSettings(info=False, verbose_level=3)),
        Beat(),
        Ready({"http": "127.0.0.1:1"}),
        Failed("models: none\nat all", 2),
        Configured(),
        Configured("labels.a: no"),
        Alive(),
    ],
)
def test_a_message_is_one_line_and_comes_back(message):
    line = encode(message)
    assert line.index(b"\n") == len(line) - 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello\n",
        b"[]\n",
        b"3",
        b"{}",
        b'{"is": "Nothing", "told": {}}',
        b'{"is": "Failed", "told": {"code": "a"}}',
    ],
)
def test_anything_else_is_none(line):
    with pytest.raises(ValueError, match="no message of parent or worker"):
        decode(line)
