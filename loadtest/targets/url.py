"""Any server, given by its URL: no stack needed.

::

    [NAME=]FORM://HOST:PORT[?backend=B][&token-file=PATH][&metrics=URL]

    oip+http  oip-json+http  oip+grpc  tfserving+http  tfserving+grpc  torchserve+http  torchserve+grpc
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from loadtest.errors import BadSpec
from loadtest.targets.stack_state import read_token
from loadtest.targets.target import Protocol, Target, Wire
from loadtest.targets.wires import FORMS

_NAMED = re.compile(r"(?:(?P<name>[^=:/?#]*)=)?(?P<url>[A-Za-z][A-Za-z0-9.-]*\+[A-Za-z]+://.*)", re.DOTALL)
_HOST = re.compile(r"[a-z0-9._:%-]+", re.ASCII)
_METRICS = ("oip+http", "prometheus+http")
_SCHEMES: dict[str, tuple[Wire, Protocol]] = {
    f"{wire}+{protocol.lower()}": (wire, protocol) for wire, protocol in FORMS
}
_EXPECTED = "expected is [NAME=]FORM://HOST:PORT with one of " + ", ".join(_SCHEMES)


def parse_targets(texts: Iterable[str]) -> list[Target]:
    """As ``parse_target``, each; two of the same name are refused."""
    targets = [parse_target(text) for text in texts]
    names = [target.name for target in targets]
    for name in names:
        if names.count(name) > 1:
            raise BadSpec(f"two targets are called {name!r}; name one of them: NAME=URL")
    return targets


def parse_target(text: str) -> Target:
    """The target that ``text`` names, such as ``mytriton=oip+grpc://127.0.0.1:8001``.

    ``backend`` is the one that a gateway is asked to take, ``metrics`` where the server publishes its own times.

    Raises:
        BadSpec: it cannot be read.
        StackError: there is no token in the file.
    """
    found = _NAMED.fullmatch(text.strip())
    shown = repr(text.partition("?")[0])  # what comes after it may be a secret
    if found is None or found["name"] == "" or not (found["name"] or "-").isprintable():
        raise BadSpec(f"target {shown} cannot be read: {_EXPECTED}")
    try:
        parts = urlsplit(found["url"])
        port = parts.port
    except ValueError as error:
        raise BadSpec(f"target {shown}: {error}: {_EXPECTED}") from None
    if parts.scheme not in _SCHEMES:
        raise BadSpec(f"target {shown}: form {parts.scheme!r} is not known: {_EXPECTED}")
    if not _HOST.fullmatch(parts.hostname or "") or not port or parts.username is not None:
        raise BadSpec(f"target {shown}: a host and a port are needed: {_EXPECTED}")
    if parts.path not in ("", "/") or parts.fragment:
        raise BadSpec(f"target {shown}: a path cannot be given, the form has its own: {_EXPECTED}")
    settings = _settings(parts, shown)
    wire, protocol = _SCHEMES[parts.scheme]
    address = parts.netloc.lower()
    hint = settings.get("backend", "")
    return Target(
        backend=found["name"] or hint or address,
        server="",
        via="gateway" if hint else "direct",
        protocol=protocol,
        wire=wire,
        address=address,
        name=found["name"] or " ".join(filter(None, (address, hint, FORMS[wire, protocol].label))),
        token=_token(settings["token-file"], shown) if "token-file" in settings else "",
        hint=hint,
        metrics=settings.get(
            "metrics", f"oip+http://{address}" if wire.startswith("oip") and protocol == "HTTP" else ""
        ),
    )


def _settings(parts: SplitResult, shown: str) -> dict[str, str]:
    query = parts.query.replace("+", "%2B")  # a URL's plus is one, and no space
    settings = dict(parse_qsl(query, keep_blank_values=True))
    if "token" in settings:
        raise BadSpec(f"target {shown}: other users can see a token in a command line; give token-file=PATH")
    for key, value in settings.items():
        if key not in ("backend", "token-file", "metrics"):
            raise BadSpec(f"target {shown}: setting {key!r} is not known; one of backend, token-file, metrics is")
        if not value.isascii() or not value.isprintable() or not value:
            raise BadSpec(f"target {shown}: {key} must be plain ASCII, got {value!r}")
    if "metrics" in settings and urlsplit(settings["metrics"]).scheme not in _METRICS:
        raise BadSpec(f"target {shown}: metrics={settings['metrics']!r} must begin with {' or '.join(_METRICS)}")
    return settings


def _token(path: str, shown: str) -> str:
    """The text in the file, or the inference key where it is TorchServe's own key file."""
    try:
        text = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadSpec(f"target {shown}: token-file={path!r} cannot be read: {error}") from None
    if text.startswith("{"):
        return read_token(path)
    if not text.isascii() or not text.isprintable() or not text:
        raise BadSpec(f"target {shown}: token-file={path!r} must hold one line of ASCII")
    return text
