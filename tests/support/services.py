"""Services and requests for testing filters without a backend."""

import numpy as np

from gateway.core.messages import InferRequest, InferResponse, RequestContext
from gateway.core.tensors import Tensor


def request(model="m", array=None, **changes):
    """A request with one FP32 input ``x`` of shape [1, 2]."""
    tensor = Tensor.from_numpy("x", np.zeros((1, 2), np.float32) if array is None else array)
    changes.setdefault("context", RequestContext("test"))
    return InferRequest(model, (tensor,), **changes)


class Recording:
    """A service that notes its requests and gives its answers in turn; an answer may be an exception."""

    def __init__(self, *answers):
        self.requests = []
        self._answers = list(answers)

    async def __call__(self, request):
        self.requests.append(request)
        answer = self._answers.pop(0) if self._answers else echo(request)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def echo(request):
    """The response that gives the first input back as output ``y``."""
    first = request.inputs[0]
    output = Tensor("y", first.datatype, first.shape, first.data)
    return InferResponse(request.model, request.version, (output,), id=request.id)
