"""Where requests that leave it open go: rules that look at headers and parameters, and versions by weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.core.catalog import Catalog
from gateway.core.messages import InferRequest, Parameter
from gateway.core.split import Split

# The header by which a client says which of its requests belong together.
ROUTE_KEY = "x-gateway-route-key"
BY_WEIGHT = "versions"
LONGEST_MATCHED = 256  # characters: what a pattern costs grows faster than the text

# Takes what a client says under a name; None where it says nothing.
Test = Callable[[str | None], bool]


def equals(text: str) -> Test:
    """It is just that."""
    return lambda said: said == text


def begins_with(prefix: str) -> Test:
    """It begins so."""
    return lambda said: said is not None and said.startswith(prefix)


def matches(pattern: str) -> Test:
    """All of it matches the regular expression; a text that is too long never does."""
    compiled = re.compile(pattern)
    return lambda said: said is not None and len(said) <= LONGEST_MATCHED and compiled.fullmatch(said) is not None


def is_there(there: bool) -> Test:
    """It is said at all, or not."""
    return lambda said: (said is not None) is there


@dataclass(slots=True, frozen=True)
class Rule:
    """What becomes of a request that fits.

    Attributes:
        headers: tests by the name of a header or metadata entry, in lower case.
        parameters: tests by the name of a parameter of the request.
        version: that it gets, where it names neither a version nor a label; empty leaves that open.
        label: the same, for the version that has this label.
        backend: that it gets, where it names none; empty leaves that open.
    """

    headers: Sequence[tuple[str, Test]] = ()
    parameters: Sequence[tuple[str, Test]] = ()
    version: str = ""
    label: str = ""
    backend: str = ""

    def fits(self, request: InferRequest) -> bool:
        """Whether ``request`` passes all tests."""
        context, parameters = request.context, request.parameters
        return all(test(context.header(name)) for name, test in self.headers) and all(
            test(_text(parameters.get(name))) for name, test in self.parameters
        )


@dataclass(slots=True, frozen=True)
class ModelRouting:
    """The routing of one model: the first of ``rules`` that fits, and ``split`` for the version that is still open."""

    rules: Sequence[Rule] = ()
    split: Split | None = None

    def apply(self, request: InferRequest, catalog: Catalog) -> str:
        """Fill in what ``request`` leaves open; returns who decided, as the configuration calls it; empty: nobody."""
        is_open = not request.version and not request.label
        for number, rule in enumerate(self.rules):
            if rule.fits(request):
                if is_open:
                    request.version, request.label = rule.version, rule.label
                request.context.backend = request.context.backend or rule.backend
                if not is_open or rule.version or rule.label or self.split is None:
                    return f"rules.{number}"
                self._weigh(self.split, request, catalog)
                return f"rules.{number}"
        if self.split is None or not is_open:
            return ""
        self._weigh(self.split, request, catalog)
        return BY_WEIGHT

    def _weigh(self, split: Split, request: InferRequest, catalog: Catalog) -> None:
        """Choose a version that can answer now, else one that is served; without one, the choice is the catalog's."""
        labels = catalog.labels(request.model)
        versions: dict[str, str] = {}
        ready: list[str] = []
        for name in split.names:
            model = catalog.find(request.model, version_called(name, labels))
            if model is not None:
                versions[name] = model.version
                if model.ready:
                    ready.append(name)
        if versions:
            name = split.choose(ready or [*versions], request.context.header(ROUTE_KEY) or "")
            request.version = versions[name]


def version_called(name: str, labels: Mapping[str, str]) -> str:
    """The version that ``name`` stands for: digits are a version, all else is a label; empty when there is none."""
    return name if name.isdecimal() else labels.get(name, "")


def _text(value: Parameter | None) -> str | None:
    """A parameter as the configuration writes it."""
    if value is None or isinstance(value, str):
        return value
    return str(value).lower() if isinstance(value, bool) else str(value)
