"""Ensembles of decision trees: every row walks down all trees at once, one level a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from model_store.onnx_to_tensorflow.operators.ml.scores import both_classes, labels_of, regressed, transformed
from model_store.onnx_to_tensorflow.registry import ML, Node, operator

# In the order in which TreeEnsemble numbers them.
_MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER"]
_COMPARISONS = [tf.less_equal, tf.less, tf.greater_equal, tf.greater, tf.equal, tf.not_equal]
_AGGREGATES = ["AVERAGE", "SUM", "MIN", "MAX"]


@dataclass(frozen=True)
class Ensemble:
    """All trees in flat arrays; a leaf is its own child, so that rows which arrive early just wait there."""

    roots: Any
    features: Any
    thresholds: Any
    modes: Any
    children: Any
    """[nodes, 2]: where to go when the condition is false, and when it is true."""
    missing_true: Any
    """Whether NaN counts as true."""
    members: Any
    """[nodes, …]: the set of a BRANCH_MEMBER, filled up with NaN."""
    weights: Any
    """[nodes, targets]"""
    reached: Any
    """[nodes, targets]: whether a leaf says something about a target at all."""

    @property
    def depth(self) -> int:
        """The number of steps after which every row is at a leaf."""
        depth, level = 0, self.roots
        while True:
            following = np.unique(self.children[level])
            if np.array_equal(following, np.unique(level)) and (self.children[level] == level[:, None]).all():
                return depth
            depth, level = depth + 1, following

    def leaves(self, rows: Any) -> Any:
        """The leaf of each row in each tree: [batch, trees]."""
        features, thresholds = tf.constant(self.features), tf.constant(self.thresholds, rows.dtype)
        children = tf.constant(self.children.reshape(-1))
        here = tf.zeros([tf.shape(rows)[0], 1], tf.int32) + tf.constant(self.roots)
        for _ in range(self.depth):
            value = tf.gather(rows, tf.gather(features, here), batch_dims=1)
            met = self._met(value, tf.gather(thresholds, here), here)
            if self.missing_true.any():
                met |= tf.math.is_nan(value) & tf.gather(tf.constant(self.missing_true), here)
            here = tf.gather(children, 2 * here + tf.cast(met, tf.int32))
        return here

    def _met(self, value: Any, threshold: Any, here: Any) -> Any:
        kinds = np.unique(self.modes[self.children[:, 0] != self.children[:, 1]]).tolist()
        results = [self._compared(kind, value, threshold, here) for kind in kinds]
        met = results[0]
        modes = tf.gather(tf.constant(self.modes), here) if len(kinds) > 1 else None
        for kind, result in zip(kinds[1:], results[1:], strict=True):
            met = tf.where(tf.equal(modes, kind), result, met)
        return met

    def _compared(self, kind: int, value: Any, threshold: Any, here: Any) -> Any:
        if _MODES[kind] == "BRANCH_MEMBER":
            return tf.reduce_any(value[..., None] == tf.gather(tf.constant(self.members, value.dtype), here), -1)
        return _COMPARISONS[kind](value, threshold)

    def scores(self, rows: Any, aggregate: str) -> tuple[Any, Any]:
        """What the trees together say about each target, and whether any says anything: both [batch, targets]."""
        leaves = self.leaves(rows)
        weights = tf.gather(tf.constant(self.weights, rows.dtype), leaves)
        is_leaf = self.children[:, 0] == np.arange(len(self.children))
        if self.reached[is_leaf].all():
            reached = tf.ones([tf.shape(rows)[0], self.weights.shape[1]], tf.bool)
            parts = reached[:, None]
        else:
            parts = tf.gather(tf.constant(self.reached), leaves)
            reached = tf.reduce_any(parts, 1)
        if aggregate in ("SUM", "AVERAGE"):
            total = tf.reduce_sum(weights, 1)
            return (total / len(self.roots) if aggregate == "AVERAGE" else total), reached
        best, nothing = (tf.reduce_min, rows.dtype.max) if aggregate == "MIN" else (tf.reduce_max, rows.dtype.min)
        found = best(tf.where(parts, weights, tf.constant(nothing, rows.dtype)), 1)
        return tf.where(reached, found, tf.zeros_like(found)), reached


def _classic(node: Node, kind: str, targets: int) -> Ensemble:
    """From the attributes of the operators before version 5."""

    def column(name: str, dtype: Any, default: Any = None) -> Any:
        found = node.attribute(f"{name}_as_tensor")
        found = node.attribute(name, default) if found is None else found
        return np.asarray(found, dtype)

    trees, ids = column("nodes_treeids", np.int64), column("nodes_nodeids", np.int64)
    place = {pair: index for index, pair in enumerate(zip(trees.tolist(), ids.tolist(), strict=True))}
    own = np.arange(len(ids))
    names = node.attribute("nodes_modes")
    is_leaf = np.array([name == "LEAF" for name in names])
    children = np.stack([own, own], 1).astype(np.int32)
    for column_index, branch in enumerate(("false", "true")):
        to = column(f"nodes_{branch}nodeids", np.int64)
        for index in np.flatnonzero(~is_leaf):
            children[index, column_index] = place[int(trees[index]), int(to[index])]
    weights = np.zeros((len(ids), targets), np.float64)
    reached = np.zeros((len(ids), targets), bool)
    rows = [
        place[pair]
        for pair in zip(
            column(f"{kind}_treeids", np.int64).tolist(), column(f"{kind}_nodeids", np.int64).tolist(), strict=True
        )
    ]
    where = (np.array(rows, np.int64), column(f"{kind}_ids", np.int64))
    np.add.at(weights, where, column(f"{kind}_weights", np.float64))
    reached[where] = True
    # A tree's first node in the list is its root.
    roots = np.unique(trees, return_index=True)[1].astype(np.int32)
    return Ensemble(
        roots,
        np.where(is_leaf, 0, column("nodes_featureids", np.int32)).astype(np.int32),
        column("nodes_values", np.float64),
        np.array([0 if name == "LEAF" else _MODES.index(name) for name in names], np.int32),
        children,
        column("nodes_missing_value_tracks_true", bool, np.zeros(len(ids), bool)) & ~is_leaf,
        np.full((1, 1), np.nan),
        weights,
        reached,
    )


@operator("TreeEnsembleRegressor", domain=ML)
def _regressor(node: Node) -> Any:
    targets = node.attribute("n_targets", 1)
    ensemble = _classic(node, "target", targets)
    scores, reached = ensemble.scores(_rows(node), node.attribute("aggregate_function", "SUM"))
    base = _base_values(node)
    if base.size:
        scores = tf.where(reached, scores + tf.constant(base, scores.dtype), tf.zeros_like(scores))
    return tf.cast(regressed(scores, targets, node.attribute("post_transform", "NONE")), tf.float32)


@operator("TreeEnsembleClassifier", domain=ML)
def _classifier(node: Node) -> Any:
    labels = labels_of(node)
    ensemble = _classic(node, "class", len(labels))
    scores, reached = ensemble.scores(_rows(node), "SUM")
    base, transform = _base_values(node), node.attribute("post_transform", "NONE")
    if len(labels) != 2:
        if base.size:
            scores, reached = scores + tf.constant(base, scores.dtype), tf.ones_like(reached)
        best = tf.argmax(tf.where(reached, scores, tf.constant(scores.dtype.min)), -1)
        return [tf.gather(tf.constant(labels), best), tf.cast(transformed(scores, transform), tf.float32)]
    single = ensemble.reached.any(0).sum() == 1
    if not single and labels.dtype != object:
        labels = np.array([0, 1])  # ONNX Runtime's answer then, whatever the labels are
    positive, scores = _binary(ensemble, scores, reached, base, transform)
    return [tf.where(positive, tf.constant(labels[1]), tf.constant(labels[0])), tf.cast(scores, tf.float32)]


def _binary(ensemble: Ensemble, scores: Any, reached: Any, base: Any, transform: str) -> tuple[Any, Any]:
    """Whether the second of two classes wins, and both scores, by ONNX Runtime's rules.

    Trees may give one score for both classes or one for each; the rules look at which scores a row's leaves give.
    """
    single = ensemble.reached.any(0).sum() == 1
    all_positive = bool((ensemble.weights >= 0).all())
    first, second = scores[:, 0], scores[:, 1]
    has_first, has_second = reached[:, 0], reached[:, 1]
    if base.size == 2:
        joined = first + base[1]
        first, second = tf.where(has_second, -joined, first + base[0]), tf.where(has_second, joined, second)
        has_first |= ~has_second
    elif base.size == 1:
        first += base[0]
    zero = tf.zeros_like(first)
    deciding = tf.where(has_second, second, tf.where(has_first, first, zero))
    positive = deciding > (0.5 if single and all_positive else 0)
    pair = transformed(tf.stack([tf.where(has_first, first, zero), tf.where(has_second, second, zero)], 1), transform)
    if base.size == 2:
        return positive, pair
    return positive, tf.where(has_second[:, None], pair, both_classes(first, transform, complement=all_positive))


@operator("TreeEnsemble", domain=ML)
def _ensemble(node: Node) -> Any:
    names = ("nodes_featureids", "nodes_trueleafs", "nodes_truenodeids", "nodes_falseleafs", "nodes_falsenodeids")
    features, true_leafs, true_ids, false_leafs, false_ids = (np.asarray(node.attribute(n), np.int32) for n in names)
    inner, targets = len(features), node.attribute("n_targets", 1)
    leaf_targets, leaf_weights = np.asarray(node.attribute("leaf_targetids")), node.attribute("leaf_weights")
    count = inner + len(leaf_targets)
    children = np.stack([np.arange(count)] * 2, 1).astype(np.int32)
    children[:inner, 0] = false_ids + inner * false_leafs
    children[:inner, 1] = true_ids + inner * true_leafs
    weights, reached = np.zeros((count, targets)), np.zeros((count, targets), bool)
    where = (inner + np.arange(len(leaf_targets)), leaf_targets)
    weights[where], reached[where] = leaf_weights, True
    missing = np.zeros(count, bool)
    missing[:inner] = node.attribute("nodes_missing_value_tracks_true", missing[:inner])

    def filled(values: Any, dtype: Any) -> Any:
        return np.concatenate([np.asarray(values, dtype), np.zeros(count - inner, dtype)])

    modes = filled(node.attribute("nodes_modes"), np.int32)
    ensemble = Ensemble(
        np.asarray(node.attribute("tree_roots"), np.int32),
        filled(features, np.int32),
        filled(node.attribute("nodes_splits"), np.float64),
        modes,
        children,
        missing,
        _members(modes, node.attribute("membership_values")),
        weights,
        reached,
    )
    scores, _ = ensemble.scores(_rows(node), _AGGREGATES[node.attribute("aggregate_function", 1)])
    transforms = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]
    return transformed(scores, transforms[node.attribute("post_transform", 0)])


def _members(modes: Any, values: Any) -> Any:
    """Each member node's set; the attribute has them one after the other with NaN between."""
    sets: list[list[float]] = [[]]
    for value in [] if values is None else np.asarray(values).tolist():
        if np.isnan(value):
            sets.append([])
        else:
            sets[-1].append(value)
    members = np.full((len(modes), max(map(len, sets)) or 1), np.nan)
    for index, own in zip(np.flatnonzero(modes == _MODES.index("BRANCH_MEMBER")), sets, strict=False):
        members[index, : len(own)] = own
    return members


def _base_values(node: Node) -> Any:
    found = node.attribute("base_values_as_tensor")
    return np.asarray(node.attribute("base_values", []) if found is None else found, np.float64)


def _rows(node: Node) -> Any:
    rows = node[0]
    return rows if rows.dtype == tf.float64 else tf.cast(rows, tf.float32)
