"""The settings of every kind of backend, and of the servers that ``gateway up`` starts for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from gateway.config.batching import BatchingConfig
from gateway.config.values import Address, Device, HttpUrl, Port, Section
from gateway.core.datatypes import Datatype


class LaunchConfig(Section):
    """How ``gateway up`` starts a backend as a local process.

    ``threads`` are those one inference may use, ``instances`` how many run at once.
    """

    device: Device = "auto"
    threads: PositiveInt = 1
    instances: PositiveInt = 1
    ready_timeout: PositiveFloat = 180.0


class TorchServeLaunch(LaunchConfig):
    """TorchServe's further ports.

    Without ``authorization`` the inference API asks for no token, for a gateway that cannot read this server's key
    file, and the management API listens on loopback alone.
    """

    authorization: bool = True
    management_port: Port = 8081
    metrics_port: Port = 8082
    grpc_port: Port = 7070
    grpc_management_port: Port = 7071


class TFServingLaunch(LaunchConfig):
    """``metrics_port`` is that of the stand-in; the real server tells its metrics on its REST port."""

    metrics_port: Port = 0


class OIPLaunch(LaunchConfig):
    """``gateway serve`` with an embedded engine behind the Open Inference Protocol."""

    engine: Literal["onnxruntime", "tensorflow", "pytorch"] = "onnxruntime"
    metrics_port: Port = 9002


class _Backend(Section):
    """Common to all backends.

    ``models`` limits which models are routed here (default: all); ``timeout`` bounds one attempt, in seconds.
    """

    models: list[str] | None = None
    timeout: PositiveFloat = 60.0


class _Server(_Backend):
    """Common to backends that are servers of their own.

    The host in an address may be a name that stands for several servers; it is looked up anew every
    ``resolve_interval`` seconds. ``batching`` null sends every request by itself.
    """

    resolve_interval: PositiveFloat = 5.0
    batching: BatchingConfig | None = BatchingConfig()

    def takes_batches(self, model: str) -> bool:  # noqa: ARG002
        """Whether several rows of ``model`` are one call to the server: then joining requests saves it work."""
        return True


class ModelTensor(Section):
    """One input or output of a model; ``-1`` in ``shape`` is a dimension of any size."""

    name: Annotated[str, Field(min_length=1)]
    datatype: Datatype
    shape: list[Annotated[int, Field(ge=-1)]]


class TorchServeHandler(Section):
    """How a model's handler is spoken to, and for a model that is not in the store what it takes and gives.

    ``payload``: ``oip`` is what the model store's archives take, and with ``binary`` false what TorchServe's own
    envelope for it takes; ``json`` is one document with all rows, in the form of ``document``; ``raw`` is a request
    with a plain body for each row, of type ``content_type`` unless the client says; ``multipart`` is a form for each
    row, with a part for each input. ``raw`` alone needs no ``inputs`` and ``outputs``. ``labels`` turn an answer of
    probability by label into scores.
    """

    payload: Literal["oip", "json", "raw", "multipart"] = "oip"
    binary: bool = True
    document: Literal["instances", "data", "rows"] = "instances"
    content_type: Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,256}$")] = "application/octet-stream"
    inputs: list[ModelTensor] = []
    outputs: list[ModelTensor] = []
    labels: list[str] = []
    max_batch_size: PositiveInt = 1

    @model_validator(mode="after")
    def _fits_its_payload(self) -> TorchServeHandler:
        if self.payload == "json" and not (self.inputs and self.outputs):
            raise ValueError("payload json needs inputs and outputs")
        if self.payload == "multipart" and not self.inputs:
            raise ValueError("payload multipart needs inputs")
        if self.payload == "raw" and self.inputs and [tensor.datatype for tensor in self.inputs] != [Datatype.BYTES]:
            raise ValueError("payload raw takes one input of datatype BYTES")
        if self.payload in ("raw", "multipart") and any(tensor.shape[:1] != [-1] for tensor in self.inputs):
            raise ValueError(f"payload {self.payload} sends row by row: the first size of every input must be -1")
        for tensor in (*self.inputs, *self.outputs):
            if self.payload != "oip" and tensor.datatype in (Datatype.FP16, Datatype.BF16):
                raise ValueError(
                    f"{tensor.name!r}: {tensor.datatype} has no JSON form, which payload {self.payload} needs"
                )
        return self


class TorchServeBackend(_Server):
    """A TorchServe, spoken to over ``protocol``.

    ``management`` is the URL of its management API, for versions, the state of workers, and model control.
    ``token_file`` is its ``key_file.json`` when token authorisation is on. ``handlers`` say how the handlers of single
    models are spoken to, ``handler`` how all others are. ``max_request_bytes`` is its own ``max_request_size``.
    """

    kind: Literal["torchserve"]
    protocol: Literal["http", "grpc"] = "http"
    url: HttpUrl
    grpc: Address | None = None
    management: HttpUrl | None = None
    token_file: Path | None = None
    handler: TorchServeHandler = TorchServeHandler()
    handlers: dict[str, TorchServeHandler] = {}
    max_request_bytes: PositiveInt = 6_553_500
    launch: TorchServeLaunch | None = None

    @model_validator(mode="after")
    def _has_its_address(self) -> TorchServeBackend:
        if self.grpc is None and self.protocol == "grpc" and self.launch is None:
            raise ValueError("grpc is needed with protocol grpc")
        return self

    def takes_batches(self, model: str) -> bool:
        return self.handlers.get(model, self.handler).payload in ("oip", "json")


class TFServingControl(Section):
    """Lets the models of a TensorFlow Serving be loaded and unloaded, over gRPC.

    ``base_paths`` holds the folder on that server of every model that it may serve: with each change it is sent a list
    made of these, and gives up what is not in it.
    """

    base_paths: dict[str, str]


class TFServingBackend(_Server):
    """A TensorFlow Serving, spoken to over ``protocol``; ``url`` is its REST address.

    It does not list its models: ``models`` names those that are not in the model store.
    """

    kind: Literal["tfserving"]
    protocol: Literal["grpc", "rest"] = "grpc"
    grpc: Address | None = None
    url: HttpUrl | None = None
    model_control: TFServingControl | None = None
    launch: TFServingLaunch | None = None

    @model_validator(mode="after")
    def _has_its_address(self) -> TFServingBackend:
        if self.url is None and self.protocol == "rest" and self.launch is None:
            raise ValueError("url is needed with protocol rest")
        if self.grpc is None and (self.protocol == "grpc" or self.launch is not None or self.model_control is not None):
            raise ValueError("grpc is needed, unless protocol is rest, without model_control and launch")
        return self


class OIPBackend(_Server):
    """Any server of the Open Inference Protocol, spoken to over ``protocol``.

    ``binary`` says whether the server takes binary tensors over HTTP; without it the server is asked.
    """

    kind: Literal["oip"]
    protocol: Literal["http", "grpc"] = "http"
    url: HttpUrl | None = None
    grpc: Address | None = None
    binary: bool | None = None
    launch: OIPLaunch | None = None

    @model_validator(mode="after")
    def _has_its_address(self) -> OIPBackend:
        if self.url is None and (self.protocol == "http" or self.launch is not None):
            raise ValueError("url is needed, unless protocol is grpc and the server is not launched here")
        if self.grpc is None and self.protocol == "grpc" and self.launch is None:
            raise ValueError("grpc is needed with protocol grpc")
        return self


class EmbeddedBackend(_Backend):
    """An inference engine in this very process: a gateway with one of these is a model server.

    At most ``queue_size`` requests wait for one of the ``instances`` to be free.
    """

    kind: Literal["embedded"]
    engine: Literal["onnxruntime", "tensorflow", "pytorch"]
    device: Device = "auto"
    threads: PositiveInt = 1
    instances: PositiveInt = 1
    queue_size: PositiveInt = 1000


Backend = Annotated[TorchServeBackend | TFServingBackend | OIPBackend | EmbeddedBackend, Field(discriminator="kind")]
