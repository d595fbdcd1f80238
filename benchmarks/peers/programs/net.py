"""The net in ONNX Runtime, for servers that leave the message to their user; runs in their environments."""

import os

import numpy as np
import onnxruntime

JSON_TYPE = "application/json"


class Session:
    """One session with as many threads as ``NET_THREADS`` says, set up as the gateway's own."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ["NET_THREADS"])
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self._session = onnxruntime.InferenceSession(
            os.environ["NET_MODEL"], options, providers=["CPUExecutionProvider"]
        )
        self.input = self._session.get_inputs()[0].name
        self.output = self._session.get_outputs()[0].name

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Of ``rows`` of 784 floats."""
        return self._session.run([self.output], {self.input: rows})[0]

    def answer(self, document: dict) -> dict:
        """To a JSON request of the Open Inference Protocol."""
        tensor = document["inputs"][0]
        return self.described(self.logits(np.asarray(tensor["data"], np.float32).reshape(tensor["shape"])))

    def described(self, logits: np.ndarray) -> dict:
        """``logits`` as a JSON answer."""
        output = {"name": self.output, "datatype": "FP32", "shape": list(logits.shape), "data": logits.ravel().tolist()}
        return {"model_name": "digits-mlp", "outputs": [output]}
