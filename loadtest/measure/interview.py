"""What a target answers before anything is timed."""

from __future__ import annotations

from loadtest.clients import Client, ConnectError, ask
from loadtest.clock import Clock
from loadtest.errors import Failed
from loadtest.measure.agreement import Outputs
from loadtest.measure.answer_check import AnswerCheck, WrongAnswer


async def interview(
    client: Client, check: AnswerCheck, *, payloads: int, connections: int, clock: Clock
) -> tuple[Outputs, ...]:
    """Have ``connections`` ready, ask for each of so many ``payloads`` once, and let ``check`` learn the answers.

    Raises:
        Failed: the target does not answer, or not with what the model gives.
    """
    answers = []
    try:
        await client.connect(connections)
        for payload in range(payloads):
            call = await ask(client, payload, clock)
            if call.failure:
                raise Failed(f"{call.failure}: {call.detail}" if call.detail else call.failure)
            answers.append(check.learn(payload, call.body, call.header_length))
    except ConnectError as error:
        raise Failed(str(error)) from None
    except WrongAnswer as wrong:
        raise Failed(f"wrong answer: {wrong}") from None
    return tuple(answers)
