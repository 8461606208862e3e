"""The source transformer in numpy: six BERT layers, enough to read its last hidden state.

No deep-learning framework is needed: all sequences of a call have the same length, so there is
no padding and no mask.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file
from scipy.special import erf

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

HEADS = 12
LAYERS = 6
EPSILON = 1e-12


class Bert:
    """Weights of all-MiniLM-L6-v2 and its forward pass."""

    def __init__(self, model_file: Path) -> None:
        """Load the weights from a safetensors file."""
        self._w: dict[str, F32] = load_file(model_file)
        self.hidden = int(self._w["embeddings.word_embeddings.weight"].shape[1])

    def last_hidden_state(self, ids: I64) -> F32:
        """Return the last hidden state [sequences, positions, hidden] of equally long inputs."""
        w = self._w
        x = w["embeddings.word_embeddings.weight"][ids]
        x = x + w["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(LAYERS):
            x = self._layer(x, f"encoder.layer.{layer}.")
        return x

    def sentence_vector(self, ids: list[int]) -> F32:
        """Return the model's own unit vector of one input: the mean over all positions."""
        mean = self.last_hidden_state(np.array([ids]))[0].mean(axis=0)
        return (mean / np.linalg.norm(mean)).astype(np.float32)

    def _dense(self, x: F32, name: str) -> F32:
        """Apply one linear layer."""
        out = x.reshape(-1, x.shape[-1]) @ self._w[name + ".weight"].T
        out += self._w[name + ".bias"]
        return out.reshape(*x.shape[:-1], -1)

    def _norm(self, x: F32, name: str) -> F32:
        """Apply one layer normalisation."""
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = np.square(centred).mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt(variance + np.float32(EPSILON))
        return scaled * self._w[name + ".weight"] + self._w[name + ".bias"]

    def _layer(self, x: F32, prefix: str) -> F32:
        """Apply one encoder layer: self-attention and feed-forward, each with its residual."""
        batch, length, hidden = x.shape
        shape = (batch, length, HEADS, hidden // HEADS)
        query, key, value = (
            self._dense(x, f"{prefix}attention.self.{n}").reshape(shape).transpose(0, 2, 1, 3)
            for n in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(hidden // HEADS))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        context = (weights @ value).transpose(0, 2, 1, 3).reshape(batch, length, hidden)
        x = self._norm(
            x + self._dense(context, prefix + "attention.output.dense"),
            prefix + "attention.output.LayerNorm",
        )
        inner = self._dense(x, prefix + "intermediate.dense")
        gate = np.multiply(inner, np.float32(np.sqrt(0.5)))
        erf(gate, out=gate)
        gate += 1
        inner *= gate
        inner *= np.float32(0.5)
        return self._norm(
            x + self._dense(inner, prefix + "output.dense"), prefix + "output.LayerNorm"
        )
