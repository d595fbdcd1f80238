"""The settings of batching, for each backend that is a server of its own."""

from __future__ import annotations

from pydantic import PositiveInt, model_validator

from gateway.config.values import Section


class LanesConfig(Section):
    """How many calls may be under way for one model, from ``min`` to ``max``; what is best between them is found."""

    min: PositiveInt = 1
    max: PositiveInt = 64

    @model_validator(mode="after")
    def _is_a_range(self) -> LanesConfig:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is over max {self.max}")
        return self


class BatchingConfig(Section):
    """Requests that find all lanes busy wait, and go out together when one is free.

    A batch has at most ``max_rows`` rows, or what the model takes where that is less, and tensors of ``max_bytes``
    bytes. At most ``queue_size`` requests wait for each model; more are refused.
    """

    max_rows: PositiveInt = 256
    max_bytes: PositiveInt = 16 * 2**20
    queue_size: PositiveInt = 1000
    lanes: LanesConfig = LanesConfig()
