"""The ``gateway`` command."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway import __version__, config_commands, model_commands, replicas_commands
from gateway.config.file import ConfigError, load_config
from gateway.config.settings import MAX_WORKERS, GatewayConfig
from gateway.runtime import commands as runtime
from gateway.runtime import launch_commands
from gateway.runtime.docker import commands as deploy
from gateway.runtime.running import RunningOption, admin_address, running_config

app = typer.Typer(
    help="One gateway in front of TorchServe, TensorFlow Serving and ONNX Runtime.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
_out = Console(highlight=False)
_err = Console(stderr=True, highlight=False)
runtime.register(app)
launch_commands.register(app)
replicas_commands.register(app)
config_commands.register(app)
model_commands.register(app)
deploy.register(app)

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="YAML file. Without one: three local backends on their usual ports."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def main() -> None:
    """Entry point of the ``gateway`` command."""
    _open_standard_streams()
    app()


@app.command(epilog="Examples:\n\n  gateway serve --config gateway.yaml\n\n  gateway serve --workers 4")
def serve(
    config: ConfigOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=MAX_WORKERS, help="Processes that share the ports; default: the file's.")
    ] = None,
    stack: Annotated[Path | None, typer.Option(hidden=True, help="What --config was made of, by `launch`.")] = None,
) -> None:
    """Run the gateway alone (no backends are started: see `up`)."""
    environment = os.environ if workers is None else {**os.environ, "GATEWAY_WORKERS": str(workers)}
    from gateway.reload.file import ConfigFile

    file = ConfigFile(config, environment)  # before it is read, so that no change is missed
    settings = _load(config, environment)
    import uvloop

    from gateway.frontends.listening import ListenError
    from gateway.telemetry.logs import configure_logging
    from gateway.workers.process import WorkerFailed
    from model_store.errors import StoreError

    configure_logging()
    # `gateway up` aborts a gateway that hangs: this writes where, whatever holds the interpreter.
    faulthandler.enable(2)  # standard error, whatever stands for it in this interpreter
    if settings.workers > 1:
        from gateway.workers.parent import serve_workers as run
    else:
        from gateway.serve import serve as run

    if stack is not None and config is not None:
        from gateway.reload.stack_file import of_stack

        file = of_stack(stack, config, environment)
    try:
        uvloop.run(run(settings, file))
    except ConfigError as error:
        _fail(str(error), 2)
    except WorkerFailed as error:
        _fail(str(error), error.code)
    except (ListenError, StoreError) as error:
        _fail(str(error), 1)


@app.command("check-config", epilog="Example: gateway check-config --config gateway.yaml")
def check_config(config: ConfigOption = None) -> None:
    """Check a configuration and say what it would start; exit code 2 when it is wrong."""
    settings = _load(config)
    from gateway.repository import check_stored
    from model_store.errors import StoreError
    from model_store.store import ModelStore

    try:
        check_stored(settings, ModelStore(settings.model_store))
    except ConfigError as error:
        _fail(str(error), 2)
    except StoreError:
        pass  # its models are yet to be built
    backends = ", ".join(f"{name} ({backend.kind})" for name, backend in settings.backends.items())
    _out.print(f"{config or 'default configuration'}: ok; backends: {backends or 'none'}", soft_wrap=True)


@app.command(
    epilog="Examples:\n\n  gateway infer efficientnet-lite0 --image cat.png --backend all\n\n"
    "  gateway infer minilm --text 'How do I get a new password?'\n\n"
    "  gateway infer digits-mlp --npy digit.npy --protocol grpc --output json"
)
def infer(
    model: Annotated[str, typer.Argument(help="Name of the model.")],
    image: Annotated[Path | None, typer.Option(help="A picture; preprocessed as the model's manifest says.")] = None,
    text: Annotated[str | None, typer.Option(help="A text; tokenized as the model's manifest says.")] = None,
    npy: Annotated[
        Path | None, typer.Option(help="NumPy array, or .npz with one for each input; batch or not.")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="An OIP request body, or a nested list.")] = None,
    backend: Annotated[str, typer.Option(help="Which backend answers; `all` compares them.")] = "",
    protocol: Annotated[Literal["http", "grpc"], typer.Option(help="How to speak to the gateway.")] = "http",
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for an answer.")] = 60.0,
    config: RunningOption = None,
    output: Annotated[Literal["table", "json"], typer.Option(help="How to print the answer.")] = "table",
) -> None:
    """Send one inference to a running gateway and print the top 5 classes, who served it and the time's split."""
    if sum(source is not None for source in (image, text, npy, json_file)) != 1:
        _fail("exactly one of --image, --text, --npy and --json is needed", 2)
    settings = _load_running(config)
    from gateway import infer as command
    from gateway.client import ClientError
    from model_store.errors import StoreError
    from model_store.store import ModelStore

    try:
        stored = ModelStore(settings.model_store).get(model)
        request = command.build_request(stored, command.Source(image, text, npy, json_file))
        backends = command.backends_of(_admin(settings), model) if backend == "all" else [backend]
        address = f"{settings.grpc.host}:{settings.grpc.port}" if protocol == "grpc" else _http(settings)
        answers = command.run(request, backends, protocol, address, timeout)
    except (ClientError, StoreError) as error:
        _fail(str(error), 1)
    if output == "json":
        print(json.dumps(command.to_document(answers, stored)))
    else:
        command.print_answers(_out, answers, stored)


@app.command(epilog="Example: gateway models --json")
def models(config: RunningOption = None, as_json: JsonOption = False) -> None:
    """List the models of a running gateway and the backends that serve them."""
    settings = _load_running(config)
    from gateway.client import ClientError, get_json

    try:
        backends = asyncio.run(get_json(_admin(settings), "/backends"))
    except ClientError as error:
        _fail(str(error), 1)
    ready: dict[str, dict[str, Any]] = {}
    for key, backend in backends.items():
        for name, state in backend["models"].items():
            ready.setdefault(name, {})[key] = state
    if as_json:
        print(json.dumps(ready))
        return
    table = Table("model", "version", "backend", "ready", "problem")
    for name, served in sorted(ready.items()):
        for key, model in served.items():
            for version, state in model["versions"].items():
                table.add_row(name, version, key, "yes" if state["ready"] else "no", state["problem"])
    _out.print(table)


@app.command(epilog="Example: gateway operations --json")
def operations(as_json: JsonOption = False) -> None:
    """List every operation of every protocol: who may use it, and whether it is implemented."""
    from gateway.operations_table import entries

    rows = [
        {
            "protocol": entry.protocol,
            "transport": entry.transport,
            "method": entry.operation.method,
            "path": entry.operation.path,
            "summary": entry.operation.summary,
            "access": entry.operation.access.value,
            "missing": entry.operation.missing,
        }
        for entry in entries()
    ]
    if as_json:
        print(json.dumps(rows))
        return
    for section, group in groupby(rows, lambda row: (row["protocol"], row["transport"])):
        table = Table("operation", "who", box=box.SIMPLE, title=" over ".join(section), title_justify="left")
        for row in group:
            name = Text(row["path"] if section[1] == "gRPC" else f"{row['method']} {row['path']}", overflow="fold")
            if row["missing"]:
                name.append(f"\n  not implemented: {row['missing']}", style="dim")
            table.add_row(name, row["access"])
        _out.print(table)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def _load_running(path: Path | None) -> GatewayConfig:
    try:
        return running_config(path)
    except ConfigError as error:
        _fail(str(error), 2)


def _load(path: Path | None, environment: Mapping[str, str] = os.environ) -> GatewayConfig:
    try:
        return load_config(path, environment)
    except ConfigError as error:
        _fail(str(error), 2)


def _open_standard_streams() -> None:
    """Open those that were closed: else a socket gets their number, and a client what libraries write to it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115 - as long as the process; it gets the lowest number
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def _http(settings: GatewayConfig) -> str:
    return f"{settings.http.host}:{settings.http.port}"


def _admin(settings: GatewayConfig) -> str:
    try:
        return admin_address(settings)
    except ConfigError as error:
        _fail(str(error), 2)


def _fail(message: str, code: int) -> NoReturn:
    _err.print(Text.assemble(("error: ", "red"), message), soft_wrap=True)  # no markup: messages hold brackets
    sys.exit(code)


if __name__ == "__main__":
    main()
