"""Recurrent layers: the inputs' share of every step in one product, then one loop over the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from model_store.onnx_to_tensorflow.registry import Node, operator
from model_store.onnx_to_tensorflow.values import dimensions, stack

State = tuple[Any, ...]
Cell = Callable[[Any, State], State]
"""From a step's share of the inputs and a state to the next state, whose first part is the output."""

_ACTIVATIONS: dict[str, Callable[[Any, float, float], Any]] = {
    "Relu": lambda x, _a, _b: tf.nn.relu(x),
    "Tanh": lambda x, _a, _b: tf.tanh(x),
    "Sigmoid": lambda x, _a, _b: tf.sigmoid(x),
    "Softsign": lambda x, _a, _b: tf.nn.softsign(x),
    "Softplus": lambda x, _a, _b: tf.nn.softplus(x),
    "Affine": lambda x, a, b: a * x + b,
    "LeakyRelu": lambda x, a, _b: tf.nn.leaky_relu(x, a),
    "ThresholdedRelu": lambda x, a, _b: tf.where(x > a, x, tf.zeros_like(x)),
    "ScaledTanh": lambda x, a, b: a * tf.tanh(b * x),
    "HardSigmoid": lambda x, a, b: tf.clip_by_value(a * x + b, 0, 1),
    "Elu": lambda x, a, _b: tf.where(x < 0, a * tf.math.expm1(x), x),
}
_DEFAULTS = {"LeakyRelu": (0.01, 0.0), "HardSigmoid": (0.2, 0.5), "Elu": (1.0, 0.0), "ThresholdedRelu": (1.0, 0.0)}
_USUAL = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


@operator("RNN", "GRU", "LSTM")
def _recurrent(node: Node) -> Any:
    layer = node[0]
    by_batch = bool(node.attribute("layout", 0))
    if by_batch:
        layer = tf.transpose(layer, [1, 0, 2])
    kind = node.attribute("direction", "forward")
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[kind]
    lengths = node.get(4)
    runs = []
    for direction, reverse in enumerate(backwards):
        cell = _CELLS[node.op_type](node, direction, _activations(node, direction, len(backwards)))
        states = _initial(node, direction, dimensions(layer)[1], by_batch)
        runs.append(_run(layer, cell, states, lengths, reverse))
    sequence = tf.stack([outputs for outputs, _ in runs], 1)
    last = [tf.stack(parts, 0) for parts in zip(*(states for _, states in runs), strict=True)]
    if by_batch:
        sequence = tf.transpose(sequence, [2, 0, 1, 3])
        last = [tf.transpose(part, [1, 0, 2]) for part in last]
    return [sequence, *last]


def _activations(node: Node, direction: int, directions: int) -> list[Callable[[Any], Any]]:
    names = node.attribute("activations") or _USUAL[node.op_type] * directions
    alphas, betas = list(node.attribute("activation_alpha", [])), list(node.attribute("activation_beta", []))
    functions = []
    for index, name in enumerate(names):
        alpha, beta = _DEFAULTS.get(name, (1.0, 0.0))
        alpha = alphas[index] if index < len(alphas) else alpha
        beta = betas[index] if index < len(betas) else beta
        functions.append(_activation(name, alpha, beta))
    own = len(names) // directions
    return functions[direction * own : (direction + 1) * own]


def _activation(name: str, alpha: float, beta: float) -> Callable[[Any], Any]:
    function = _ACTIVATIONS[name]
    return lambda tensor: function(tensor, alpha, beta)


def _initial(node: Node, direction: int, batch: Any, by_batch: bool) -> State:
    hidden = node[2].shape[-1]
    states = []
    for index in (5, 6) if node.op_type == "LSTM" else (5,):
        if node.has(index):
            states.append(node[index][:, direction] if by_batch else node[index][direction])
        else:
            states.append(tf.zeros(stack([batch, hidden]), node[0].dtype))
    return tuple(states)


def _run(layer: Any, cell: Any, states: State, lengths: Any, reverse: bool) -> tuple[Any, State]:
    """All steps in one direction; what lies beyond a sequence's length is zero and leaves its state alone."""
    steps = dimensions(layer)[0]
    order = _reversed(layer, lengths) if reverse else layer
    share = cell.project(order)
    outputs = tf.TensorArray(layer.dtype, steps, element_shape=states[0].shape)

    def step(time: Any, states: State, outputs: Any) -> Any:
        after = cell.step(share[time], states)
        output = after[0]
        if lengths is not None:
            within = (time < tf.cast(lengths, tf.int32))[:, None]
            output = tf.where(within, output, tf.zeros_like(output))
            after = tuple(tf.where(within, new, old) for new, old in zip(after, states, strict=True))
        return time + 1, after, outputs.write(time, output)

    shapes = tuple(state.shape for state in states)
    states = tuple(tf.ensure_shape(state, shape) for state, shape in zip(states, shapes, strict=True))
    _, last, outputs = tf.while_loop(
        lambda time, *_: time < steps,
        step,
        (tf.constant(0), states, outputs),
        shape_invariants=(tf.TensorShape([]), shapes, tf.TensorShape(None)),
    )
    sequence = outputs.stack()
    sequence = tf.ensure_shape(sequence, [layer.shape[0], *states[0].shape])
    return (_reversed(sequence, lengths) if reverse else sequence), last


def _reversed(sequence: Any, lengths: Any) -> Any:
    if lengths is None:
        return tf.reverse(sequence, [0])
    return tf.reverse_sequence(sequence, lengths, seq_axis=0, batch_axis=1)


class _Layer:
    """The weights of one direction."""

    gates: int

    def __init__(self, node: Node, direction: int, activations: list[Callable[[Any], Any]]) -> None:
        self.activations = activations
        self.clip = node.attribute("clip")
        self.weights = tf.transpose(node[1][direction])
        self.recurrence = tf.transpose(node[2][direction])
        self.hidden = node[2].shape[-1]
        bias = node[3][direction] if node.has(3) else tf.zeros([2 * self.gates * self.hidden], node[0].dtype)
        self.bias, self.recurrent_bias = tf.split(bias, 2)

    def project(self, layer: Any) -> Any:
        """The inputs' share, for all steps at once."""
        steps, batch, width = dimensions(layer)
        product = tf.matmul(tf.reshape(layer, stack([-1, width])), self.weights) + self.bias
        return tf.reshape(product, stack([steps, batch, self.gates * self.hidden]))

    def clipped(self, tensor: Any) -> Any:
        """Within the bounds that the node sets."""
        return tensor if self.clip is None else tf.clip_by_value(tensor, -self.clip, self.clip)


class _Rnn(_Layer):
    gates = 1

    def step(self, share: Any, states: State) -> State:
        (hidden,) = states
        total = share + tf.matmul(hidden, self.recurrence) + self.recurrent_bias
        return (self.activations[0](self.clipped(total)),)


class _Gru(_Layer):
    gates = 3

    def __init__(self, node: Node, direction: int, activations: list[Callable[[Any], Any]]) -> None:
        super().__init__(node, direction, activations)
        self.reset_last = bool(node.attribute("linear_before_reset", 0))

    def step(self, share: Any, states: State) -> State:
        (hidden,) = states
        gate, inner = self.activations
        cut = 2 * self.hidden
        both = share[:, :cut] + tf.matmul(hidden, self.recurrence[:, :cut]) + self.recurrent_bias[:cut]
        update, reset = tf.split(gate(self.clipped(both)), 2, -1)
        recurrence, bias = self.recurrence[:, cut:], self.recurrent_bias[cut:]
        if self.reset_last:
            own = reset * (tf.matmul(hidden, recurrence) + bias)
        else:
            own = tf.matmul(reset * hidden, recurrence) + bias
        candidate = inner(self.clipped(share[:, cut:] + own))
        return ((1 - update) * candidate + update * hidden,)


class _Lstm(_Layer):
    gates = 4

    def __init__(self, node: Node, direction: int, activations: list[Callable[[Any], Any]]) -> None:
        super().__init__(node, direction, activations)
        self.coupled = bool(node.attribute("input_forget", 0))
        self.peepholes = tf.split(node[7][direction], 3) if node.has(7) else None

    def step(self, share: Any, states: State) -> State:
        hidden, cell = states
        gate, inner, outer = self.activations
        total = share + tf.matmul(hidden, self.recurrence) + self.recurrent_bias
        enter, leave, forget, candidate = tf.split(total, 4, -1)
        if self.peepholes:
            enter += self.peepholes[0] * cell
            forget += self.peepholes[2] * cell
        enter = gate(self.clipped(enter))
        forget = 1 - enter if self.coupled else gate(self.clipped(forget))
        cell = forget * cell + enter * inner(self.clipped(candidate))
        if self.peepholes:
            leave += self.peepholes[1] * cell
        return gate(self.clipped(leave)) * outer(cell), cell


_CELLS = {"RNN": _Rnn, "GRU": _Gru, "LSTM": _Lstm}
