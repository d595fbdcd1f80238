"""What PyTorch runs convolutions fastest with on a CPU: batch normalisations folded into them, channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

_CONVOLUTIONS = {
    torch.ops.aten.conv1d.default,
    torch.ops.aten.conv2d.default,
    torch.ops.aten.conv3d.default,
}
_BATCH_NORM = torch.ops.aten.batch_norm.default


def fold_batch_norms(module: torch.fx.GraphModule) -> None:
    """Give each convolution of an exported program the batch normalisation behind it, for good."""
    for node in list(module.graph.nodes):
        if node.op != "call_function" or node.target is not _BATCH_NORM or not _foldable(node):
            continue
        convolution = node.args[0]
        weight, bias = convolution.args[1], (*convolution.args, None)[2]
        fused = fuse_conv_bn_weights(
            _tensor(module, weight),
            _tensor(module, bias),
            _tensor(module, node.args[3]),
            _tensor(module, node.args[4]),
            node.args[7],
            _tensor(module, node.args[1]),
            _tensor(module, node.args[2]),
        )
        with module.graph.inserting_before(convolution):
            parameters = [_keep(module, f"_folded_{node.name}_{index}", tensor) for index, tensor in enumerate(fused)]
        convolution.args = (convolution.args[0], *parameters, *convolution.args[3:])
        node.replace_all_uses_with(convolution)
        module.graph.erase_node(node)
    module.graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    module.recompile()


def channels_last(module: Any) -> Callable[..., Any]:
    """``module`` with its weights and its inputs in the order that CPU convolutions compute in."""
    for tensor in (*module.parameters(), *module.buffers()):
        if tensor.dim() == 4:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)

    def call(*tensors: torch.Tensor) -> Any:
        return module(*(t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in tensors))

    return call


def _foldable(norm: torch.fx.Node) -> bool:
    """Whether it only follows a convolution that nobody else reads, and all its numbers are the program's own."""
    convolution, training = norm.args[0], norm.args[5]
    if training or convolution.target not in _CONVOLUTIONS or len(convolution.users) > 1:
        return False
    tensors = [*convolution.args[1:3], *norm.args[1:5]]
    return all(tensor is None or tensor.op == "get_attr" for tensor in tensors) and norm.args[3] is not None


def _tensor(module: torch.fx.GraphModule, node: torch.fx.Node | None) -> torch.Tensor | None:
    if node is None:
        return None
    owner: Any = module
    for part in str(node.target).split("."):
        owner = getattr(owner, part)
    return owner.detach()


def _keep(module: torch.fx.GraphModule, name: str, tensor: torch.Tensor) -> torch.fx.Node:
    module.register_buffer(name, tensor.detach())
    return module.graph.get_attr(name)
