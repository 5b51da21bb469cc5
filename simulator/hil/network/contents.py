"""What DRAM holds for the network engine: weights by chunks, the configuration, images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simulator.hil.benches import bit_words, field_words
from simulator.hil.network.fixed import FixedLayer, FixedNetwork
from simulator.hil.network.instructions import bits_of

Words = npt.NDArray[np.int32]
HIGHEST = (1 << 15) - 1


class Contents:
    """Collect weights and constants while a program is written.

    `columns`, `word`, `port`: columns of the array, inputs of a chunk and of a beat.
    """

    def __init__(self, columns: int, word: int, port: int) -> None:
        self.columns, self.word, self.port = columns, word, port
        self.chunks: list[Words] = []
        self.constants: list[Words] = []

    @property
    def beat_words(self) -> int:
        """32-bit words of a beat."""
        return self.columns * self.port * 8 // 32

    def add_weights(self, layer: FixedLayer, tap_inputs: int) -> dict[str, int]:
        """Place a layer's weights, a chunk a slot, tile by tile; return the instruction's fields.

        `tap_inputs`: inputs of a tap of a convolution, of which a chunk holds as many as fit.
        """
        base = len(self.chunks)
        inputs, outputs = layer.weights.shape
        tiles = -(-outputs // self.columns)
        size = self.word if tap_inputs >= self.word else self.word // tap_inputs * tap_inputs
        cuts = [(first, min(first + size, inputs)) for first in range(0, inputs, size)]
        padded = np.zeros((inputs, tiles * self.columns), np.int64)
        padded[:, :outputs] = layer.weights
        for tile in range(tiles):
            own = padded[:, tile * self.columns : (tile + 1) * self.columns]
            for first, last in cuts:
                chunk = np.zeros((self.word, self.columns), np.int64)
                chunk[: last - first] = own[first:last]
                self.chunks.append(field_words(chunk.reshape(1, -1), 8).reshape(-1))
        words = [-(-(last - first) // self.port) for first, last in cuts]
        return {
            "tiles": tiles,
            "weight_base": base,
            "chunk_words": words[0],
            "last_words": words[-1],
        }

    def add_constants(self, layer: FixedLayer) -> int:
        """Place a layer's biases and thresholds, a tile an entry; return the first."""
        base = len(self.constants)
        tiles = -(-len(layer.bias) // self.columns)
        bias = np.zeros(tiles * self.columns, np.int64)
        threshold = np.full(tiles * self.columns, HIGHEST, np.int64)
        bias[: len(layer.bias)] = layer.bias
        threshold[: len(layer.threshold)] = layer.threshold
        for tile in range(tiles):
            at = slice(tile * self.columns, (tile + 1) * self.columns)
            both = np.concatenate([bias[at], threshold[at]])
            self.constants.append(field_words(both[None], 16).reshape(-1))
        return base

    def head_vectors(self, network: FixedNetwork) -> Words:
        """Return the head's weights, a tile of a class an entry."""
        tiles = -(-network.dim // self.columns)
        head = np.zeros((len(network.head), tiles * self.columns), np.int64)
        head[:, : network.dim] = network.head
        return field_words(head.reshape(-1, self.columns), 8)

    def configuration(
        self, network: FixedNetwork, instructions: list[Words], classes: int
    ) -> Words:
        """Return the configuration's words: instructions, constants, head, score table, biases."""
        table = np.zeros(16, np.int64) if network.scores is None else network.scores
        shifts, bias = np.zeros(classes, np.int64), np.zeros(classes, np.int64)
        shifts[: len(network.head)] = network.head_shift
        bias[: len(network.head)] = network.head_bias
        both = np.concatenate([bits_of(table, 17), bits_of(shifts, 8)])
        entries = [
            *instructions,
            *self.constants,
            *self.head_vectors(network),
            bit_words(both[None]).reshape(-1),
            bit_words(bits_of(bias, 64)[None]).reshape(-1),
        ]
        blob = np.zeros((len(entries), self.beat_words), np.int32)
        for index, entry in enumerate(entries):
            blob[index, : len(entry)] = entry
        return blob.reshape(-1)


def pixel_shift(channels: int) -> int:
    """Return how far a pixel's number is shifted to its first byte: pixels have 1 or 4 bytes."""
    return 0 if channels == 1 else 2


def image_words(pixels: npt.NDArray[np.uint8], beat_words: int) -> Words:
    """Return an image (y, x) or (y, x, channel) as DRAM holds it, in whole beats."""
    values = pixels.reshape(*pixels.shape[:2], -1)
    padded = np.zeros((*values.shape[:2], 1 << pixel_shift(values.shape[2])), np.uint8)
    padded[:, :, : values.shape[2]] = values
    flat = padded.reshape(-1)
    beats = np.zeros(-(-len(flat) // (4 * beat_words)) * 4 * beat_words, np.uint8)
    beats[: len(flat)] = flat
    words: Words = beats.view("<i4").astype(np.int32)
    return words
