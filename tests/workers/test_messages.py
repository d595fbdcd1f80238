import pytest

from gateway.workers.messages import Configured, Failed, Ready, decode, encode


@pytest.mark.parametrize(
    "answer",
    [Ready({"http": "127.0.0.1:1"}), Failed("models: none\nat all", 2), Configured(), Configured("labels.a: no")],
)
def test_an_answer_is_one_line_and_comes_back(answer):
    line = encode(answer)
    assert line.index(b"\n") == len(line) - 1
    assert decode(line) == answer


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
    with pytest.raises(ValueError, match="no answer of a worker"):
        decode(line)
