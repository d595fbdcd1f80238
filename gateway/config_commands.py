"""``gateway config``: the configuration that a running gateway obeys, shown and changed."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer
import yaml
from rich.text import Text

from gateway.client import get_json, patch_json, post_json
from gateway.runtime.console import complain, messages, results
from gateway.runtime.running import RunningOption, ask_running

_SECONDS = 30.0  # the model store is read on the way
_COLUMNS = 80
# A name in a key may be quoted, as it may have dots: labels."resnet50.v2".stable
_PART = re.compile(r'"([^"]*)"|([^."]+)')
_PARTS = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))*")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would change, or why nothing can.")]

_app = typer.Typer(help="Show and change the configuration of a running gateway.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.add_typer(_app, name="config")


@_app.command(epilog="Example: gateway config show --json")
def show(config: RunningOption = None, as_json: JsonOption = False) -> None:
    """Print the configuration that the gateway obeys now, without what is secret in it."""
    document = ask_running(config, lambda address: get_json(address, "/config"))
    typer.echo(json.dumps(document) if as_json else _yaml(document), nl=as_json)


@_app.command(
    "set",
    epilog="Examples:\n\n  gateway config set retries.attempts=2 hedging.percentile=0.99\n\n"
    "  gateway config set labels.digits-mlp.stable=3 --dry-run\n\n"
    "  gateway config set cache=null",
)
def set_values(
    values: Annotated[list[str], typer.Argument(metavar="KEY=VALUE…", help="Settings; values as in YAML.")],
    dry_run: DryRunOption = False,
    config: RunningOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change settings until the file is read again; all of them or, if one is refused, none."""
    try:
        patch = build_patch(values)
    except ValueError as error:
        complain(str(error))
        raise typer.Exit(2) from None
    path = f"/config{_query(dry_run)}"
    _show_changes(ask_running(config, lambda address: patch_json(address, path, patch, timeout=_SECONDS)), as_json)
    if not dry_run and not as_json:
        messages().print(Text("Until the file is read again; write it there too."), soft_wrap=True)


@_app.command(epilog="Example: gateway config reload --dry-run")
def reload(dry_run: DryRunOption = False, config: RunningOption = None, as_json: JsonOption = False) -> None:
    """Have the gateway read its file anew; takes back what `set` changed."""
    path = f"/config/reload{_query(dry_run)}"
    _show_changes(ask_running(config, lambda address: post_json(address, path, timeout=_SECONDS)), as_json)


def build_patch(values: list[str]) -> dict[str, Any]:
    """The JSON Merge Patch that sets what ``values``, each ``KEY=VALUE``, say.

    Raises:
        ValueError: one is no such pair, or two of them contradict each other.
    """
    patch: dict[str, Any] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not _PARTS.fullmatch(key):
            raise ValueError(f"{text!r}: KEY=VALUE is expected, such as retries.attempts=2")
        *sections, last = [quoted or plain for quoted, plain in _PART.findall(key)]
        section = patch
        for name in sections:
            section = section.setdefault(name, {})
            if not isinstance(section, dict):
                raise ValueError(f"{text!r}: another value is for a part of the same key")
        if last in section:
            raise ValueError(f"{text!r}: another value is for the same key")
        section[last] = _value(text, value)
    return patch


def _value(text: str, value: str) -> Any:
    try:
        return json.loads(json.dumps(yaml.safe_load(value), allow_nan=False))
    except (yaml.YAMLError, TypeError, ValueError):
        raise ValueError(f"{text!r}: the value is not valid YAML, or has no JSON form") from None


def _query(dry_run: bool) -> str:
    return "?dry_run=1" if dry_run else ""


def _show_changes(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(answer))
        return
    console = results()
    for key, change in answer["changed"].items():
        console.print(Text(f"{key}: {json.dumps(change['from'])} → {json.dumps(change['to'])}"), soft_wrap=True)
    if not answer["changed"]:
        console.print("nothing changes" if answer["dry_run"] else "nothing has changed")
    elif answer["dry_run"]:
        console.print("would change; nothing has")


def _yaml(document: Any) -> str:
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=_COLUMNS)
