"""The classic 784→128→10 net, trained in the build on scikit-learn's handwritten digits."""

from __future__ import annotations

from functools import partial
from typing import Any

from model_store.definitions import digits
from model_store.definitions.base import ModelDefinition
from model_store.processing.steps import Decode, Layout, Normalize, Resize, Softmax, TopK

EPOCHS = 30
BATCH = 64

PREPROCESSING = (
    Decode("L"),
    Resize(digits.SIDE, digits.SIDE),
    Normalize(scale=1 / 255, mean=(0.0,), std=(1.0,)),
    Layout("FLAT"),
)


def source() -> Any:
    """The trained net."""
    import torch

    torch.manual_seed(digits.SEED)
    pictures, classes = digits.training_set(PREPROCESSING)
    inputs, targets = torch.from_numpy(pictures), torch.from_numpy(classes)
    module = torch.nn.Sequential(
        torch.nn.Linear(digits.SIDE * digits.SIDE, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    loss = torch.nn.CrossEntropyLoss()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(inputs)).split(BATCH):
            optimizer.zero_grad()
            loss(module(inputs[batch]), targets[batch]).backward()
            optimizer.step()
    return module


MODEL = ModelDefinition(
    name="digits-mlp",
    version="1",
    description="784→128→10 ReLU net, handwritten digits scaled to 28×28",
    license=digits.LICENSE,
    inputs=("input",),
    outputs=("logits",),
    max_batch_size=128,
    preprocessing=PREPROCESSING,
    postprocessing=(Softmax("logits"), TopK("logits", 5)),
    tolerance=None,
    packages=("scikit-learn", "torch"),
    labels=digits.labels,
    samples=partial(digits.samples, "input", PREPROCESSING),
    evaluation=partial(digits.held_out, "input", PREPROCESSING),
    assets=dict,
    source=source,
)
