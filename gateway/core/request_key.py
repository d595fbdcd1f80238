"""One short key for all that decides the answer to a request."""

from __future__ import annotations

from hashlib import sha256

from gateway.core.messages import SCHEDULE_PARAMETERS, InferRequest


def request_key(scope: int, request: InferRequest) -> bytes:
    """32 bytes that differ for requests that could be answered differently; ``scope`` says who would answer.

    The hash must be strong, since two requests with one key get one answer. On CPUs with SHA instructions SHA-256 is
    the fastest such that Python has: 5 µs for 3 kB, 0.75 ms for 600 kB, 12 ms for 10 MB; BLAKE2b 9 µs, 1.5 and 25 ms.
    """
    parameters = sorted([item for item in request.parameters.items() if item[0] not in SCHEDULE_PARAMETERS])
    of_inputs = sorted([(name, sorted(given.items())) for name, given in request.input_parameters.items()])
    tensors = [(tensor.name, tensor.datatype.value, tensor.shape, tensor.nbytes) for tensor in request.inputs]
    # A representation tells 1 from 1.0, True and "1"; with the lengths in it, it also says where each input ends.
    head = repr((scope, request.signature, request.outputs, parameters, of_inputs, tensors))
    digest = sha256(head.encode())
    for tensor in request.inputs:
        digest.update(tensor.data)
    return digest.digest()
