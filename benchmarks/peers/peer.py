"""One of other people's model servers, with the same net in the same engine."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environment import Environment, environment, our_version
from benchmarks.errors import CannotMeasure
from benchmarks.matrix import MODEL, Form
from benchmarks.process import check_alive, free_ports, last_words, running
from benchmarks.store import ARTIFACT
from benchmarks.ways import Server
from gateway.codecs.oip_http import infer_path
from loadtest.payloads.sources import workload_of
from loadtest.targets.wires import FORMS
from model_store.store import ModelStore

PROGRAMS = Path(__file__).parent.absolute() / "programs"
THREADS = 1  # of one inference, as our server has
_START_SECONDS = 120.0
_LOOK_AGAIN = 0.3


@dataclass(slots=True, frozen=True, kw_only=True)
class Setup:
    """What a server is started with.

    Attributes:
        environment: where it is installed.
        folder: a new, empty directory of its own.
        model: the ONNX file.
        path: what is asked over HTTP.
        http, grpc, spare: free ports.
    """

    environment: Environment
    folder: Path
    model: Path
    path: str
    http: int
    grpc: int
    spare: int


@dataclass(slots=True, frozen=True, kw_only=True)
class Peer:
    """One server.

    Attributes:
        name: what the table calls it.
        requirements: of pip, beside ONNX Runtime, which is of the version that we have.
        forms: what it speaks, of ours.
        command: how it is started; may write files into the setup's folder.
        variables: of its environment.
        remark: what the reader should know of how it was set up.
    """

    name: str
    requirements: tuple[str, ...]
    forms: tuple[Form, ...]
    command: Callable[[Setup], Sequence[str | Path]]
    variables: Mapping[str, str] = field(default_factory=dict)
    remark: str


@contextlib.contextmanager
def peer_server(peer: Peer, store: ModelStore, folder: Path) -> Iterator[Server]:
    """``peer``, installed and started on free ports, once it has answered.

    Raises:
        CannotMeasure: it does not install, start or answer; says why.
    """
    own = folder / peer.name.replace(" ", "").lower()
    installed = environment(own, [*peer.requirements, our_version("onnxruntime")])
    work = own / "work"
    work.mkdir(exist_ok=True)
    http, grpc, spare = free_ports(3)
    setup = Setup(
        environment=installed,
        folder=work.absolute(),
        model=store.get(MODEL).artifact(ARTIFACT).absolute(),
        path=infer_path(MODEL, ""),
        http=http,
        grpc=grpc,
        spare=spare,
    )
    log = own / "server.log"
    with contextlib.ExitStack() as ending:
        # Sockets have short paths, which a folder of the repository may not have.
        scratch = ending.enter_context(tempfile.TemporaryDirectory(prefix="peer-", ignore_cleanup_errors=True))
        variables = {
            "PYTHONPATH": str(PROGRAMS),
            "NET_MODEL": str(setup.model),
            "NET_THREADS": str(THREADS),
            "NET_PATH": setup.path,
            "NET_PORT": str(http),
            "NET_SCRATCH": scratch,
            **peer.variables,
        }
        process = ending.enter_context(running(peer.command(setup), log, directory=work, environment=variables))
        _wait_for_answer(f"127.0.0.1:{http}", store, process, log)
        version = peer.requirements[0].replace("==", " ")
        yield Server(peer.name, version, f"127.0.0.1:{http}", f"127.0.0.1:{grpc}", process.pid)


def _wait_for_answer(address: str, store: ModelStore, process: subprocess.Popen[bytes], log: Path) -> None:
    message = FORMS["oip-json", "HTTP"].encode(workload_of(MODEL, store).payloads[0])
    deadline = time.monotonic() + _START_SECONDS
    while True:
        check_alive(process, log)
        answer = _ask(address, message.path, message.body, dict(message.headers))
        if not answer:
            return
        if time.monotonic() > deadline:
            raise CannotMeasure(f"has not answered after {_START_SECONDS:.0f} s: {answer}; {last_words(log)}")
        time.sleep(_LOOK_AGAIN)


def _ask(address: str, path: str, body: bytes, headers: Mapping[str, str]) -> str:
    """What is wrong with the answer; empty when it is one."""
    connection = http.client.HTTPConnection(address, timeout=10.0)
    try:
        connection.request("POST", path, body, dict(headers))
        answer = connection.getresponse()
        said = answer.read(300)
    except (OSError, http.client.HTTPException) as error:
        return str(error)
    finally:
        connection.close()
    return "" if answer.status == http.client.OK else f"HTTP {answer.status}: {said.decode(errors='replace')}"
