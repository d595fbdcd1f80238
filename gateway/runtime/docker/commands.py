"""``gateway deploy``: a stack in containers started, stopped, shown, and changed without losing a request."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from gateway.runtime.console import complain, messages, results
from gateway.runtime.errors import RuntimeFailure

if TYPE_CHECKING:  # what needs the SDK, an extra, is imported where it is used
    from gateway.runtime.docker.project import Project
    from gateway.runtime.docker.replace import Deployment

ProjectOption = Annotated[
    str, typer.Option("--project", "-p", metavar="NAME", help="Which stack; default: the only one that there is.")
]
DrainOption = Annotated[
    float,
    typer.Option("--drain", metavar="SECONDS", min=0, help="How long to wait for what an old container is answering."),
]
ServiceArgument = Annotated[str, typer.Argument(metavar="SERVICE", help="Name of the service.")]

_app = typer.Typer(
    help="Look after a stack in containers, whether `gateway up --runtime docker` or compose made it.",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(_app, name="deploy")


@_app.command(epilog="Example: gateway deploy status --json")
def status(
    project: ProjectOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show the containers of the stack. The exit code is 0 when each of them is ready, else 1."""
    with _project(project) as found:
        from gateway.runtime.docker.operate import problems, rows, table

        told = rows(found)
    if as_json:
        results().print(Text(json.dumps(told, indent=2)), soft_wrap=True)
    else:
        results().print(table(found.name, told))
        for problem in problems(told):
            messages().print(Text(problem), soft_wrap=True)
    if not all(row["ready"] for row in told):
        raise typer.Exit(1)


@_app.command(epilog="Example: gateway deploy start --project serving")
def start(project: ProjectOption = "") -> None:
    """Start the containers that were stopped: the gateway once everything behind it is healthy."""
    with _project(project) as found:
        from gateway.runtime.docker.interrupt import interrupts
        from gateway.runtime.docker.operate import start as start_all

        with interrupts() as interrupt:
            start_all(found, interrupt.check, _news)


@_app.command(epilog="Example: gateway deploy stop --project serving")
def stop(project: ProjectOption = "") -> None:
    """Stop the containers, the gateway first, which answers what it has accepted. Nothing is removed."""
    with _project(project) as found:
        from gateway.runtime.docker.operate import stop as stop_all

        stop_all(found, _news)


@_app.command(epilog="Example: gateway deploy logs onnxruntime --follow --tail 20")
def logs(
    service: ServiceArgument = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(metavar="LINES", min=0, help="How many of the last lines of each log.")] = 100,
    project: ProjectOption = "",
) -> None:
    """Show what the containers of a service, or of all, have logged."""
    with _project(project) as found:
        from gateway.runtime.docker.operate import logs as show_logs

        show_logs(found.containers(service), tail=tail, follow=follow, line=typer.echo)


@_app.command(
    epilog="Examples:\n\n  gateway deploy replace onnxruntime\n\n"
    "  gateway deploy replace torchserve --image registry.example/torchserve:2"
)
def replace(
    service: ServiceArgument,
    image: Annotated[str, typer.Option(metavar="IMAGE", help="Image of the new containers; default: the same.")] = "",
    drain: DrainOption = 30.0,
    project: ProjectOption = "",
) -> None:
    """Replace the containers of a backend one by one, without losing a request.

    A new one gets requests once it is healthy and answers the store's samples as it should; else all is as before.
    """
    with _deployment(project, drain) as deployment:
        from gateway.runtime.docker.replace import renew

        renew(deployment, service, image)
    _news(service, "replaced")


@_app.command(epilog="Example: gateway deploy model digits-mlp/2")
def model(
    name: Annotated[str, typer.Argument(metavar="NAME[/VERSION]", help="The model; its version is the latest built.")],
    drain: DrainOption = 30.0,
    project: ProjectOption = "",
) -> None:
    """Serve the version of a model that was built last in place of the one before, without losing a request.

    It gets requests once every backend has it and gives the right answers; else all is as before.
    """
    with _deployment(project, drain) as deployment:
        from gateway.runtime.docker.versions import roll_model

        done = roll_model(deployment, *name.partition("/")[::2])
    _news("", done)


@contextmanager
def _project(name: str) -> Iterator[Project]:
    """The project called ``name``; a failure ends the command with its sentence."""
    try:
        if importlib.util.find_spec("docker") is None:
            raise RuntimeFailure(
                "the Docker SDK is not installed; install it with: pip install 'serving-gateway[docker]'"
            )
        from gateway.runtime.docker.engine import Engine
        from gateway.runtime.docker.project import find_project

        engine = Engine()
        try:
            yield find_project(engine, name)
        finally:
            engine.close()
    except RuntimeFailure as failure:
        complain(str(failure))
        raise typer.Exit(1) from None


@contextmanager
def _deployment(project: str, drain: float) -> Iterator[Deployment]:
    """A deployment that Ctrl-C and SIGTERM undo."""
    with _project(project) as found:
        from gateway.runtime.docker.gateways import Gateways
        from gateway.runtime.docker.interrupt import interrupts
        from gateway.runtime.docker.project import GATEWAY
        from gateway.runtime.docker.replace import Deployment

        with interrupts() as interrupt:
            gateways = Gateways(found.running(GATEWAY))
            gateways.require_ready()
            yield Deployment(found, gateways, drain, interrupt.check, _news)


def _news(service: str, text: str) -> None:
    messages().print(Text(f"{service}: {text}" if service else text), soft_wrap=True)
