"""Writes the instructions of the patch splitting."""

from __future__ import annotations

import numpy as np

from simulator.hil.network.contents import HIGHEST
from simulator.hil.network.fixed import WEIGHT_FRACTION, FixedLayer, FixedStage, check_sums
from simulator.hil.network.instructions import COUNTED, FROM_MAP, SPIKES, TO_MAP, TO_TOKENS
from simulator.hil.network.writer import MAP, STREAM, TOKENS, RowSpan, Writer, WrittenLayer

TAPS = 9
IMAGE_GROUPS = 2
"""Entries of a pixel of the image: four of its eight planes each."""


def write_stem(writer: Writer) -> RowSpan:
    """Write the stages; return where the tokens' rows are."""
    network, side = writer.network, writer.network.side
    stages = widened(network.stages, writer.word)
    channels = stages[0].layer.weights.shape[0] // TAPS
    base = writer.room(MAP, _bank_entries(side) * IMAGE_GROUPS)
    largest, rows = 255, RowSpan(0, 0)
    for index, stage in enumerate(stages):
        check_sums(f"sps.{index}.conv", stage.layer, largest, writer.parameters["SUM_BITS"])
        fields = _stage(writer, index, stage, channels, side)
        fields |= {"word_base": base, "planes": largest.bit_length()}
        side = side // 2 if stage.pooled else side
        fields |= {"tokens": side * side, "result_width": side}
        outputs = len(stage.layer.bias)
        stream_room = -(-outputs // writer.columns) * side * side
        made = WrittenLayer(f"sps.{index}.conv", f"sps.{index}.out")
        if index == len(stages) - 1:
            target = RowSpan(
                writer.room(TOKENS, side * side * writer.slices), writer.room(STREAM, stream_room)
            )
            fields |= {"target": TO_TOKENS, "result_base": target.words}
            fields |= {"result_entries": writer.slices, "residual": 1, "put_stream": 1}
            fields |= {"stream_in": rows.stream, "stream_out": target.stream}
            made, rows = made._replace(stream="blocks.0.x"), target
        else:
            words = -(-outputs // writer.word)
            base = writer.room(MAP, _bank_entries(side) * words)
            fields |= {"target": TO_MAP, "result_base": base, "result_entries": words}
        if index == len(stages) - 2:
            # Its spikes are what the last stage's are added to.
            rows = RowSpan(0, writer.room(STREAM, stream_room))
            fields |= {"put_stream": 1, "stream_out": rows.stream}
        if stage.integrated:
            made = made._replace(tensor=f"sps.{index}.integrated")
        writer.add(made, **fields)
        channels, largest = outputs, network.timesteps if stage.integrated else 1
    return rows


def _stage(
    writer: Writer, index: int, stage: FixedStage, channels: int, side: int
) -> dict[str, int]:
    """The fields of a stage that do not depend on where its operand and result are."""
    groups = IMAGE_GROUPS if index == 0 else 1
    fields = _chunks(writer, channels) | writer.contents.add_weights(stage.layer, channels)
    return fields | {
        "back": min(index, 1),
        "operand": FROM_MAP,
        "from_image": int(index == 0),
        "keep_local": int(index > 0 and fields["chunks"] <= writer.parameters["LOCAL_CHUNKS"]),
        "neurons": COUNTED if stage.integrated else SPIKES,
        "pool": int(stage.pooled),
        "rows": side * side,
        "width": side,
        "row_entries": fields["slices"] * groups,
        "plane_groups": groups,
        "fraction": WEIGHT_FRACTION,
        "constant_base": writer.contents.add_constants(stage.layer),
    }


def _chunks(writer: Writer, channels: int) -> dict[str, int]:
    """How a 3x3 window is cut into chunks: some taps each, or a part of one."""
    if channels < writer.word:
        taps = min(writer.word // channels, TAPS)
        chunks = -(-TAPS // taps)
        return {
            "channels": channels,
            "chunk_taps": taps,
            "slices": 1,
            "chunks": chunks,
            "inputs": taps * channels,
            "last_inputs": (TAPS - (chunks - 1) * taps) * channels,
        }
    slices = channels // writer.word
    return {
        "channels": writer.word,
        "chunk_taps": 1,
        "slices": slices,
        "chunks": TAPS * slices,
        "inputs": writer.word,
        "last_inputs": writer.word,
    }


def widened(stages: tuple[FixedStage, ...], word: int) -> tuple[FixedStage, ...]:
    """Return stages whose maps have fewer channels than a word or fill whole words.

    Channels that are added never fire, and nothing reads them: no result changes.
    """
    found: list[FixedStage] = []
    added = 0
    for index, stage in enumerate(stages):
        weights, bias, threshold = stage.layer
        taps = weights.reshape(TAPS, -1, len(bias))
        taps = np.pad(taps, ((0, 0), (0, added), (0, 0)))
        last = index == len(stages) - 1
        added = -len(bias) % word if len(bias) > word and not last else 0
        layer = FixedLayer(
            np.pad(taps, ((0, 0), (0, 0), (0, added))).reshape(-1, len(bias) + added),
            np.pad(bias, (0, added)),
            np.pad(threshold, (0, added), constant_values=HIGHEST),
        )
        found.append(stage._replace(layer=layer))
    return tuple(found)


def _bank_entries(side: int) -> int:
    """Pixels of a square map in each of its nine banks."""
    return int((-(-side // 3)) ** 2)
