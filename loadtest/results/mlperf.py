"""What MLPerf's own load generator says of a test, beside what this one recorded of it."""

from __future__ import annotations

from loadtest.results.block import Struct


class MlperfSummary(Struct, frozen=True, kw_only=True):
    """LoadGen's verdict and numbers. Its latency ends when it is told of the answer; Server's begins when it was due.

    Attributes:
        version: of LoadGen.
        scenario: LoadGen's name of it, such as ``SingleStream``.
        valid: whether LoadGen accepts the result. It knows of no failed request.
        reasons: why not, and the errors that it logged.
        early_stopping: what its early-stopping rule says, in its words; empty where it has none.
        queries: number of queries; each of MultiStream and Offline holds several requests.
        rate: requests a second; None where LoadGen gives none (MultiStream).
        minimum, mean, maximum: latencies of requests (s).
        percentiles: latencies of requests (s) by share, such as 0.99.
        directory: where its logs are.
    """

    version: str
    scenario: str
    valid: bool
    reasons: tuple[str, ...]
    early_stopping: str
    queries: int
    rate: float | None
    minimum: float
    mean: float
    maximum: float
    percentiles: dict[float, float]
    directory: str


class MlperfResult(Struct, frozen=True, kw_only=True):
    """One test of LoadGen.

    Attributes:
        target: name of the target.
        load: spec of the load.
        repetition: number of the block with the same requests.
        summary: LoadGen's own; None when the test did not end.
        invalid: why its result must not be used: LoadGen's reasons, and failed requests, of which it knows nothing.
    """

    target: str
    load: str
    repetition: int
    summary: MlperfSummary | None
    invalid: tuple[str, ...]
