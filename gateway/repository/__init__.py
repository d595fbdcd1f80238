"""The models of the store and of the backends, and which of them this gateway serves."""

from gateway.repository.checks import check_stored
from gateway.repository.fixed import FixedRepository
from gateway.repository.repository import ModelRepository

__all__ = ["FixedRepository", "ModelRepository", "check_stored"]
