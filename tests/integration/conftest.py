"""One real stack for all integration tests."""

import pytest
from support.stack import running_stack


@pytest.fixture(scope="session")
def stack(model_store_root, tmp_path_factory):
    """The stack that all integration tests share; a test that breaks a server waits until it is back."""
    with running_stack(model_store_root, tmp_path_factory.mktemp("stack")) as running:
        yield running
