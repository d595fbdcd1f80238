"""The settings of admission: how many requests are let in, whose, and in which order."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, PositiveInt, model_validator

from gateway.config.values import Section
from gateway.core.clients import HEADER

PerSecond = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _header(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", value) or value.lower().endswith("-bin"):
        raise ValueError("must be the name of a header and of gRPC metadata: letters, digits, '.', '_' and '-'")
    return value.lower()


class AdmittedConfig(Section):
    """How many requests of a model may be under way, from ``min`` to ``max``; what is best between them is found."""

    min: PositiveInt = 4
    max: Annotated[int, Field(ge=1, le=100_000)] = 1000

    @model_validator(mode="after")
    def _is_a_range(self) -> AdmittedConfig:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is over max {self.max}")
        return self


class ClientConfig(Section):
    """What one client has instead of what all have; a client of weight 2 has two turns for one of the others."""

    rate: PerSecond | None = None
    burst: PositiveInt | None = None
    weight: Annotated[int, Field(ge=1, le=1000)] = 1


class ClientsConfig(Section):
    """Who a client is, which the header or metadata ``header`` says, and how often it may ask.

    ``rate`` is in requests a second over all models, ``burst`` how many may come at once after a silence: null is a
    second's worth. Without a ``rate`` it is unlimited. ``named`` holds exceptions, by what the header says. As many as
    ``tracked`` clients are remembered.
    """

    header: Annotated[str, AfterValidator(_header)] = HEADER
    rate: PerSecond | None = None
    burst: PositiveInt | None = None
    named: dict[str, ClientConfig] = {}
    tracked: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000


class AdmissionConfig(Section):
    """Requests over the limit of their model wait, at most ``queue_size`` of them and each for ``wait`` seconds.

    Those that are sheddable have the share ``sheddable`` of the limit.
    """

    limit: AdmittedConfig = AdmittedConfig()
    queue_size: PositiveInt = 1000
    wait: Annotated[float, Field(gt=0, le=60)] = 0.1
    sheddable: Annotated[float, Field(gt=0, le=1)] = 0.5
    clients: ClientsConfig = ClientsConfig()
