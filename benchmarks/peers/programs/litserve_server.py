"""LitServe with the net."""

import os

import litserve
from net import Session


class Net(litserve.LitAPI):
    """The net: what a request holds is decoded and encoded here, as LitServe has it."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (the processor, as there is no other)
        self.net = Session()

    def predict(self, request: dict) -> dict:
        return self.net.answer(request)


if __name__ == "__main__":
    server = litserve.LitServer(Net(api_path=os.environ["NET_PATH"]), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(os.environ["NET_PORT"]), log_level="warning", generate_client_file=False)
