"""Ray Serve with the net."""

import json
import os
import signal
import sys

import numpy as np
import ray
from net import Session
from ray import serve
from ray.serve.schema import LoggingConfig
from starlette.requests import Request
from starlette.responses import Response

HEADER_LENGTH = "inference-header-content-length"
QUIET = LoggingConfig(enable_access_log=False, log_level="WARNING")


@serve.deployment(max_ongoing_requests=256, logging_config=QUIET)
class Net:
    """The net; Ray Serve hands over the request with its bytes."""

    def __init__(self) -> None:
        self.net = Session()

    async def __call__(self, request: Request) -> Response:
        body = await request.body()
        length = request.headers.get(HEADER_LENGTH)
        if length is None:
            return Response(json.dumps(self.net.answer(json.loads(body))), media_type="application/json")
        head = int(length)
        shape = json.loads(body[:head])["inputs"][0]["shape"]
        logits = self.net.logits(np.frombuffer(body, "<f4", offset=head).reshape(shape))
        document = self.net.described(logits)
        output = document["outputs"][0]
        del output["data"]
        output["parameters"] = {"binary_data_size": logits.nbytes}
        written = json.dumps(document).encode()
        headers = {HEADER_LENGTH: str(len(written))}
        return Response(written + logits.tobytes(), headers=headers, media_type="application/octet-stream")


def main() -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        ray.init(
            include_dashboard=False, _temp_dir=os.environ["NET_SCRATCH"], num_cpus=2, object_store_memory=256 * 2**20
        )
        serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["NET_PORT"])}, logging_config=QUIET)
        serve.run(Net.bind(), route_prefix="/", blocking=True)
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
