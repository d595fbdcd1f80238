from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.load_servers import echo_gateway, mixed_workload


@pytest.fixture(scope="package")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a gateway with two backends that give the inputs of ``mixed_workload`` back."""
    models = [model.name for model in mixed_workload().models]
    with echo_gateway(tmp_path_factory.mktemp("store"), models, ["left", "right"]) as addresses:
        yield addresses
