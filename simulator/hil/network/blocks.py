"""Writes the instructions of an encoder block and of the halting decision behind it."""

from __future__ import annotations

import numpy as np

from simulator.hil.network.fixed import (
    ATTENTION_FRACTION,
    ATTENTION_THRESHOLD,
    WEIGHT_FRACTION,
    FixedLayer,
    check_sums,
)
from simulator.hil.network.instructions import (
    FROM_PACKED,
    FROM_TOKENS,
    FROM_VALUES,
    KEPT,
    KEYS,
    SCORES,
    SPIKES,
    TO_KEYS,
    TO_PACKED,
    TO_TOKENS,
    TO_VALUES,
)
from simulator.hil.network.writer import (
    CHANNELS,
    MEMBRANES,
    STREAM,
    TOKENS,
    RowSpan,
    Writer,
    WrittenLayer,
)


def write_block(writer: Writer, block: int, entering: RowSpan) -> RowSpan:
    """Write a block; return where its result is."""
    # The stream holds 0 to 2 at first and grows by 2 a block.
    name, most = f"blocks.{block}", 2 + 2 * block
    layers, slices = writer.network.blocks[block], writer.slices
    queries = _write_projections(writer, block, entering.words)
    _write_scores(writer, name, queries)
    _write_context(writer, name)
    middle = _rows(writer)
    _linear(
        writer,
        WrittenLayer(f"{name}.attn.proj", f"{name}.attn.proj_out", f"{name}.mlp.x"),
        layers["proj"],
        1,
        operand=FROM_PACKED,
        row_entries=slices,
        **_added(entering.stream, middle),
    )
    hidden_slices = -(-len(layers["fc1"].bias) // writer.word)
    hidden = writer.room(TOKENS, writer.network.tokens * hidden_slices)
    _linear(
        writer,
        WrittenLayer(f"{name}.mlp.fc1", f"{name}.mlp.hidden"),
        layers["fc1"],
        most + 1,
        operand=FROM_TOKENS,
        word_base=middle.words,
        row_entries=slices,
        target=TO_TOKENS,
        result_base=hidden,
        result_entries=hidden_slices,
    )
    result = _rows(writer)
    last = block == len(writer.network.blocks) - 1
    made = "head.x" if last else f"blocks.{block + 1}.x"
    _linear(
        writer,
        WrittenLayer(f"{name}.mlp.fc2", f"{name}.mlp.out", made),
        layers["fc2"],
        1,
        operand=FROM_TOKENS,
        word_base=hidden,
        row_entries=hidden_slices,
        **_added(middle.stream, result),
        result_entries=slices,
    )
    tokens, tiles = writer.network.tokens, writer.tiles
    writer.add(
        WrittenLayer(f"{name}.halting"),
        halting=1,
        tiles=tiles,
        stream_in=result.stream,
        tokens=tokens,
    )
    return result


def _write_projections(writer: Writer, block: int, words: int) -> int:
    """Write queries, keys and values; return where the queries are."""
    queries = writer.room(TOKENS, writer.network.tokens * writer.slices)
    for place, (part, target) in enumerate(
        (("q", TO_TOKENS), ("k", TO_KEYS), ("v", TO_VALUES)), start=1
    ):
        name = f"blocks.{block}.attn.{part}"
        _linear(
            writer,
            WrittenLayer(f"{name}_linear", name),
            writer.network.blocks[block][part],
            2 + 2 * block,
            back=place,
            scan=int(part == "q"),
            operand=FROM_TOKENS,
            word_base=words,
            row_entries=writer.slices,
            target=target,
            result_base=queries if part == "q" else 0,
        )
    return queries


def _write_scores(writer: Writer, name: str, queries: int) -> None:
    """Write the products of queries and keys, head by head."""
    network, parameters = writer.network, writer.parameters
    head_dim = network.dim // network.heads
    port_words = head_dim // writer.key_channels
    for head in range(network.heads):
        first = head * head_dim
        writer.add(
            WrittenLayer(f"{name}.attn.scores"),
            # Of queries and keys; values may still be on their way.
            back=2 + head,
            weights_wait=1,
            weights=KEYS,
            operand=FROM_TOKENS,
            listed=1,
            neurons=KEPT,
            word_base=queries + first // writer.word,
            row_entries=writer.slices,
            plane_groups=1,
            slices=1,
            part=first % writer.word // 32,
            planes=1,
            chunks=1,
            inputs=head_dim,
            last_inputs=head_dim,
            weight_base=first // writer.key_channels * (parameters["TOKENS"] // writer.columns),
            chunk_words=port_words,
            last_words=port_words,
            result_base=head * writer.score_room,
            tokens=network.tokens,
        )


def _write_context(writer: Writer, name: str) -> None:
    """Write the products of values and scores, head by head, with the attention's neurons."""
    network, places = writer.network, writer.parameters["TOKENS"]
    head_dim = network.dim // network.heads
    neurons = FixedLayer(
        np.zeros((1, places), np.int64),
        np.zeros(places, np.int64),
        np.full(places, ATTENTION_THRESHOLD, np.int64),
    )
    constant = writer.contents.add_constants(neurons)
    membranes = writer.room(CHANNELS, network.dim)
    for head in range(network.heads):
        first = head * head_dim
        writer.add(
            WrittenLayer(f"{name}.attn.context", f"{name}.attn.out"),
            back=1 + head,
            weights_wait=1,
            weights=SCORES,
            operand=FROM_VALUES,
            stateful=1,
            attention=1,
            neurons=SPIKES,
            rows=head_dim,
            width=1,
            word_base=first,
            plane_groups=1,
            slices=1,
            planes=1,
            chunks=1,
            weight_base=head * writer.score_room,
            constant_base=constant,
            membrane_base=membranes + first,
            target=TO_PACKED,
            result_base=first,
            result_entries=writer.slices,
            fraction=ATTENTION_FRACTION,
            tokens=network.tokens,
        )


def _linear(
    writer: Writer, made: WrittenLayer, layer: FixedLayer, largest: int, **fields: int
) -> None:
    """Write a linear layer whose inputs are 0 to `largest`."""
    check_sums(made.layer, layer, largest, writer.parameters["SUM_BITS"])
    inputs, outputs = layer.weights.shape
    chunks, tokens = -(-inputs // writer.word), writer.network.tokens
    own = {
        "back": 1,
        "listed": 1,
        "stateful": 1,
        "neurons": SPIKES,
        "plane_groups": 1,
        "slices": 1,
        "chunks": chunks,
        "inputs": min(writer.word, inputs),
        "last_inputs": inputs - (chunks - 1) * writer.word,
        "planes": largest.bit_length(),
        "fraction": WEIGHT_FRACTION,
        "tokens": tokens,
        "constant_base": writer.contents.add_constants(layer),
        "membrane_base": writer.room(MEMBRANES, -(-outputs // writer.columns) * tokens),
        "result_entries": writer.slices,
    }
    writer.add(made, **(own | writer.contents.add_weights(layer, inputs) | fields))


def _rows(writer: Writer) -> RowSpan:
    """Room for rows of tokens and their stream."""
    tokens = writer.network.tokens
    return RowSpan(
        writer.room(TOKENS, tokens * writer.slices), writer.room(STREAM, tokens * writer.tiles)
    )


def _added(stream: int, result: RowSpan) -> dict[str, int]:
    """The fields of a layer whose spikes are added to a stream."""
    return {
        "residual": 1,
        "put_stream": 1,
        "stream_in": stream,
        "stream_out": result.stream,
        "target": TO_TOKENS,
        "result_base": result.words,
    }
