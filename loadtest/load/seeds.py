"""Everything random comes from three seeds, so that a run can be repeated with just one of them changed."""

from __future__ import annotations

import msgspec
import numpy as np


class Seeds(msgspec.Struct, frozen=True):
    """Separate, as MLPerf LoadGen has them.

    Attributes:
        arrivals: when requests are due.
        samples: which payload each request carries, and the order in which targets are measured.
        payloads: the content of random payloads.
    """

    arrivals: int
    samples: int
    payloads: int

    @classmethod
    def of(cls, seed: int) -> Seeds:
        """Three seeds from one."""
        return cls(*(int(word) for word in np.random.SeedSequence(seed).generate_state(3)))
