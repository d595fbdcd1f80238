"""A runtime of MLServer for the net."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse
from net import Session


class Net(MLModel):
    """The net, asked and answered as MLServer's own runtimes are."""

    async def load(self) -> bool:
        self._net = Session()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        rows = NumpyCodec.decode_input(payload.inputs[0])
        logits = self._net.logits(np.ascontiguousarray(rows, np.float32))
        output = NumpyCodec.encode_output(self._net.output, logits)
        return InferenceResponse(model_name=self.name, outputs=[output])
