"""PyTorch operators that torch.onnx writes badly or not at all, taken apart into others before it sees them."""

from __future__ import annotations

from typing import Any

import torch

_SUM, _MEAN = 0, 1  # modes of a bag; the third is the maximum


def _embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,  # noqa: ARG001  matters in training alone
    mode: int = _SUM,
    sparse: bool = False,  # noqa: ARG001  likewise
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Rows summed by the bag they are in, where torch.onnx writes a loop over sequences, which TensorFlow lacks."""
    if mode not in (_SUM, _MEAN):
        return NotImplemented
    starts = offsets[:-1] if include_last_offset else offsets
    places = torch.arange(indices.shape[0], device=indices.device)
    bags = (starts.unsqueeze(0) <= places.unsqueeze(1)).sum(1) - 1
    rows = weight.index_select(0, indices)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1)
    counted = torch.ones_like(indices, dtype=weight.dtype)
    if padding_idx is not None and padding_idx >= 0:
        counted = (indices != padding_idx).to(weight.dtype)
        rows = rows * counted.unsqueeze(1)
    place = bags.unsqueeze(1).expand(-1, weight.shape[1])
    zeros = weight.new_zeros(starts.shape[0], weight.shape[1])
    counts = weight.new_zeros(starts.shape[0]).scatter_add(0, bags, counted)
    summed = zeros.scatter_add(0, place, rows)
    if mode == _MEAN:
        summed = summed / counts.clamp(min=1).unsqueeze(1)
    return summed, bags, counts.to(indices.dtype), bags


def _attention(query: Any, key: Any, value: Any, *others: Any, **options: Any) -> Any:
    """Attention without heads: torch.onnx knows it with four dimensions only."""
    if query.dim() != 3 or options.get("enable_gqa"):
        return NotImplemented
    mask = others[0] if others else None
    if mask is not None and mask.dim() == 3:
        others = (mask.unsqueeze(1), *others[1:])
    heads = (tensor.unsqueeze(1) for tensor in (query, key, value))
    return torch.nn.functional.scaled_dot_product_attention(*heads, *others, **options).squeeze(1)


def _cdist(first: Any, second: Any, p: float = 2.0, _mode: int | None = None) -> Any:
    return torch.linalg.vector_norm(first.unsqueeze(-2) - second.unsqueeze(-3), p, dim=-1)


_aten = torch.ops.aten
DECOMPOSITIONS = {
    _aten.embedding_bag.default: _embedding_bag,
    _aten.embedding_bag.padding_idx: _embedding_bag,
    _aten.cdist.default: _cdist,
    _aten.scaled_dot_product_attention.default: _attention,
}
