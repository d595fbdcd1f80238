"""A service of BentoML with the net."""

import os
from typing import Any

import bentoml
from net import Session


@bentoml.service(name="net", workers=1, traffic={"timeout": 60})
class Net:
    """The net; BentoML reads and writes the JSON."""

    def __init__(self) -> None:
        self.net = Session()

    @bentoml.api(route=os.environ["NET_PATH"])
    def infer(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        """One request of the Open Inference Protocol."""
        return self.net.answer({"inputs": inputs})
