"""The settings of what is sent to a second backend: retries and hedges."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gateway.config.values import Section

Share = Annotated[float, Field(ge=0, le=1)]


class RetriesConfig(Section):
    """Requests that failed and may be sent again, each time to another backend: ``attempts`` in all.

    Over 10 seconds, as many as ``budget`` (a share) of a model's requests are, and ``per_second`` without any.
    """

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    budget: Share = 0.2
    per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0


class HedgingConfig(Section):
    """Requests that take longer than ``percentile`` of a model's go to a second backend too; the first answer wins.

    Over 10 seconds, at most ``budget`` (a share) of them do. ``torchserve`` lets them go to TorchServe and away from
    it, which goes on with what is given up.
    """

    percentile: Annotated[float, Field(ge=0.5, le=0.999)] = 0.95
    budget: Share = 0.05
    torchserve: bool = False
