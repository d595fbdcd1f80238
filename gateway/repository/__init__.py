"""The models of the store and of the backends, and which of them this gateway serves."""

from gateway.repository.repository import ModelRepository
from gateway.repository.stored import check_labels

__all__ = ["ModelRepository", "check_labels"]
