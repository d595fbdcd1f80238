"""``gateway launch`` and ``gateway probe``: one server of the stack by itself, which is what a container runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from gateway.config.file import ConfigError, load_config
from gateway.runtime.console import complain, results
from gateway.runtime.errors import RuntimeFailure
from gateway.runtime.launchers.front import NAME as GATEWAY
from gateway.runtime.probe import ProbeFailed
from gateway.runtime.probe import probe as send_probe
from gateway.runtime.saved_requests import save_requests
from gateway.runtime.single import become, following, plan_server
from gateway.runtime.state import DEFAULT_RUN_DIRECTORY, RunDirectory

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A backend with a `launch` section, or `gateway`.")]
RunDirOption = Annotated[Path, typer.Option("--run-dir", metavar="DIR", help="Where the server's files are.")]


def register(app: typer.Typer) -> None:
    """Add the two commands to ``app``."""
    app.command(
        epilog="Examples:\n\n  gateway launch onnxruntime -c stack.yaml --host 0.0.0.0 --run-dir /run/gateway\n\n"
        "  gateway launch tensorflow -c stack.yaml --prepare"
    )(launch)
    app.command(epilog="Example: gateway probe onnxruntime --run-dir /run/gateway")(probe)


def launch(
    name: NameArgument,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Configuration of the whole stack.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Listen on this address, in place of the host in the configuration."),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only write its files: for a program of another image, as tensorflow/serving."),
    ] = False,
    run_dir: RunDirOption = DEFAULT_RUN_DIRECTORY,
) -> None:
    """Become one server of the configuration; the others run somewhere else, at the addresses that it gives."""
    run = RunDirectory(run_dir)
    try:
        settings = load_config(config)
        run.create()
        server = plan_server(settings, name, run, host=host, elsewhere=prepare)
        if name == GATEWAY and config is not None:
            server = following(server, config)
        save_requests(server, run.path)
        if not prepare:
            become(server)
    except ConfigError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    except RuntimeFailure as failure:
        complain(f"{name}: {failure}")
        raise typer.Exit(1) from None
    except OSError as error:  # of the run directory, or the program is not to be run
        complain(f"{name}: {error.filename or run.shown(run.path)}: {error.strerror}")
        raise typer.Exit(1) from None


def probe(name: NameArgument, run_dir: RunDirOption = DEFAULT_RUN_DIRECTORY) -> None:
    """Ask a launched server for one real inference of each of its models. The exit code is 0 when all answered."""
    try:
        models = send_probe(name, run_dir)
    except ProbeFailed as error:
        complain(str(error))
        raise typer.Exit(1) from None
    results().print(Text(f"{name} answers for {', '.join(models)}"))
