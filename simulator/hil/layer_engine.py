"""Runs jobs on the layer engine of the RTL: memory images in, cycles and results out."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np

from simulator.architecture import Architecture
from simulator.components.pe_arrays.spike_skip import SpikeSkip
from simulator.config.arrays import Ints
from simulator.errors import DeviceError
from simulator.hil.benches import (
    PLANE_BITS,
    bit_words,
    field_words,
    instruction_fields,
    pack_instruction,
    port_words,
    unpack_fields,
)
from simulator.hil.jobs import Job
from simulator.hil.layer_design import LAYER_BITS, STREAM_BITS, engine_design
from simulator.hil.verilator import Words, run

WORDS, WEIGHTS, MASKS, BIAS, INSTRUCTIONS, STREAM, MEMBRANES, SPIKES, SCORES = range(9)
"""Memories, as the host names them."""
_FIELDS = instruction_fields("layer_pkg.sv")


class EngineRun(NamedTuple):
    """Hold what the layer engine did. `busy_cycles` by unit; `counts` by what was counted.

    `ended`: cycle at which each job had ended; `outputs`: of each job, int (live row, output), its
    spikes or scores; `membranes`, `streams`: likewise, None where it has none. Of jobs that share
    neurons only the last one's membranes are there.
    """

    cycles: int
    busy_cycles: dict[str, int]
    counts: dict[str, int]
    ended: Ints
    outputs: list[Ints]
    membranes: list[Ints | None]
    streams: list[Ints | None]


def run_jobs(architecture: Architecture, jobs: Sequence[Job]) -> EngineRun:
    """Run jobs, in order, in one go. Raises DeviceError, also for more than the memories hold."""
    if not jobs:
        raise DeviceError("device rtl: no layer has a live token: nothing to run")
    image = _Image(architecture)
    for job in jobs:
        image.add(job)
    return image.run(jobs)


class _Image:
    """The memories of the engine being filled; equal data are stored once."""

    def __init__(self, architecture: Architecture) -> None:
        self.design = engine_design(architecture)
        array = architecture.core.pe_array
        assert isinstance(array, SpikeSkip)
        self.array = array
        self.parameters = self.design.parameters
        self.memories: dict[int, list[Words]] = {}
        self.used: dict[int, int] = {}
        self.known: dict[Hashable, int] = {}
        self.instructions: list[dict[str, int]] = []

    def add(self, job: Job) -> None:
        """Place a job's data and write its instruction."""
        rows, planes, _ = job.operand.shape
        tiles = -(-job.weights.shape[1] // self.array.columns)
        chunks = len(job.chunks)
        chunk_words = [self._chunk_words(inputs, job.one_bit) for inputs in job.chunks]
        vectors = tiles * rows
        self._check(job, rows)
        self.instructions.append(
            {
                "wait_for": job.wait_for,
                "weights_wait": int(job.weights_wait),
                "scan": int(job.mask is not None),
                "listed": int(job.listed),
                "one_bit": int(job.one_bit),
                "residual": int(job.stream is not None),
                "scores": int(job.scores),
                "at_rest": int(job.at_rest),
                "tokens": 0 if job.mask is None else len(job.mask),
                "mask_base": self._mask(job),
                "rows": rows,
                "word_base": self._operand(job),
                "row_words": planes * chunks,
                "planes": planes,
                "chunks": chunks,
                "tiles": tiles,
                "weight_base": self._weights(job, tiles),
                "chunk_words": chunk_words[0],
                "last_words": chunk_words[-1],
                "bias_base": self._bias(job, tiles),
                "vector_base": self._room(MEMBRANES, vectors, ("neurons", *job.neurons)),
                "output_base": self._outputs(job, tiles, rows),
                "tile_vectors": rows,
                "threshold": job.threshold,
            }
        )

    def run(self, jobs: Sequence[Job]) -> EngineRun:
        """Fill the memories, run, read back."""
        commands = [
            self._write(memory, 0, np.concatenate(data)) for memory, data in self.memories.items()
        ]
        program = [pack_instruction(each, _FIELDS) for each in self.instructions]
        commands.append(self._write(INSTRUCTIONS, 0, np.array(program, np.int32)))
        limit = 1000 + 200 * sum(job.operand.size for job in jobs)
        commands.append(np.array([3, len(jobs), min(limit, 1 << 30)], np.int32))
        reads: list[tuple[int, int, int, int]] = []
        for job, fields in zip(jobs, self.instructions, strict=True):
            entries = fields["tiles"] * fields["tile_vectors"]
            memory, bits = (SCORES, self.array.weight_bits) if job.scores else (SPIKES, 1)
            reads.append((memory, fields["output_base"], entries, bits))
            if not job.scores:
                bits = self.parameters["MEMBRANE_BITS"]
                reads.append((MEMBRANES, fields["vector_base"], entries, bits))
            if job.stream is not None:
                reads.append((STREAM, fields["output_base"], entries, STREAM_BITS))
        for memory, base, entries, bits in reads:
            width = -(-bits * self.array.columns // 32)
            commands.append(np.array([2, memory, base, entries, width], np.int32))
        answer = run(self.design, np.concatenate(commands))
        return self._result(jobs, answer, reads)

    def _result(
        self, jobs: Sequence[Job], answer: Words, reads: list[tuple[int, int, int, int]]
    ) -> EngineRun:
        counts = answer[:10].tolist()
        place = 10 + len(jobs)
        read: list[Ints] = []
        for _, _, entries, bits in reads:
            width = -(-bits * self.array.columns // 32)
            data = answer[place : place + entries * width].reshape(entries, width)
            read.append(unpack_fields(data, bits, self.array.columns))
            place += entries * width
        outputs, membranes, streams = [], [], []
        values = iter(read)
        for job, fields in zip(jobs, self.instructions, strict=True):

            def of(value: Ints, job: Job = job, fields: dict[str, int] = fields) -> Ints:
                tiles, rows = fields["tiles"], fields["tile_vectors"]
                by_row = value.reshape(tiles, rows, -1).transpose(1, 0, 2).reshape(rows, -1)
                return by_row[job.live, : job.weights.shape[1]]

            outputs.append(of(next(values)))
            membranes.append(None if job.scores else of(next(values)))
            streams.append(None if job.stream is None else of(next(values)) % (1 << STREAM_BITS))
        units = ("weight_port", "pe_array", "vector_unit", "token_skip")
        names = ("words_dropped", "words_pushed", "words_merged", "vectors_updated", "lane_adds")
        return EngineRun(
            counts[0],
            dict(zip(units, counts[1:5], strict=True)),
            dict(zip(names, counts[5:], strict=True)),
            answer[10 : 10 + len(jobs)].astype(np.int64),
            outputs,
            membranes,
            streams,
        )

    def _check(self, job: Job, rows: int) -> None:
        limits = {
            "rows": (len(job.live), self.parameters["BLOCK_ITEMS"]),
            "live tokens": (len(job.live) * job.listed, self.parameters["QUEUE"]),
            "planes": (job.operand.shape[1], 1 << PLANE_BITS),
            "jobs": (len(self.instructions) + 1, (1 << LAYER_BITS) - 1),
        }
        for what, (count, most) in limits.items():
            if count > most:
                raise DeviceError("device rtl", job.name, f"{count} {what}", f"at most {most}")

    def _chunk_words(self, inputs: int, one_bit: bool) -> int:
        vectors = -(-inputs // self.array.weight_bits) if one_bit else inputs
        return -(-vectors // self.parameters["PORT_INPUTS"])

    def _operand(self, job: Job) -> int:
        """Words (row, plane, chunk), each padded to the width of a word."""
        key = ("operand", job.operand.shape, job.operand.tobytes())
        if key in self.known:
            return self.known[key]
        rows, planes, _ = job.operand.shape
        words = np.zeros((rows, planes, len(job.chunks), self.array.word_inputs), np.bool_)
        first = 0
        for chunk, inputs in enumerate(job.chunks):
            words[:, :, chunk, :inputs] = job.operand[:, :, first : first + inputs]
            first += inputs
        flat = words.reshape(-1, self.array.word_inputs)
        return self._store(WORDS, bit_words(flat), key)

    def _weights(self, job: Job, tiles: int) -> int:
        key = ("weights", job.weights.shape, job.one_bit, job.weights.tobytes())
        if key in self.known:
            return self.known[key]
        parts = []
        for tile in range(tiles):
            columns = slice(tile * self.array.columns, (tile + 1) * self.array.columns)
            first = 0
            for inputs in job.chunks:
                piece = job.weights[first : first + inputs, columns]
                ports = self.parameters["PORT_INPUTS"]
                parts.append(port_words(piece, self.array, ports, job.one_bit))
                first += inputs
        return self._store(WEIGHTS, np.concatenate(parts), key)

    def _bias(self, job: Job, tiles: int) -> int:
        padded = np.zeros(tiles * self.array.columns, np.int64)
        padded[: len(job.bias)] = job.bias
        key = ("bias", padded.tobytes())
        if key in self.known:
            return self.known[key]
        vectors = padded.reshape(tiles, self.array.columns)
        return self._store(BIAS, field_words(vectors, self.array.sum_bits), key)

    def _mask(self, job: Job) -> int:
        if job.mask is None:
            return 0
        scan = self.parameters["SCAN"]
        groups = np.zeros((-(-len(job.mask) // scan), scan), np.bool_)
        groups.reshape(-1)[: len(job.mask)] = job.mask
        return self._store(MASKS, bit_words(groups), ("mask", job.mask.tobytes()))

    def _outputs(self, job: Job, tiles: int, rows: int) -> int:
        """Room for what a job makes; the residual stream is there before."""
        base = self._room(SPIKES, tiles * rows, ("job", len(self.instructions)))
        if job.stream is not None:
            padded = np.zeros((rows, tiles * self.array.columns), np.int64)
            padded[:, : job.stream.shape[1]] = job.stream
            vectors = padded.reshape(rows, tiles, -1).transpose(1, 0, 2).reshape(tiles * rows, -1)
            filler = base - self.used.get(STREAM, 0)
            width = -(-STREAM_BITS * self.array.columns // 32)
            data = [np.zeros((filler, width), np.int32), field_words(vectors, STREAM_BITS)]
            self._store(STREAM, np.concatenate(data), ("stream", base))
        return base

    def _store(self, memory: int, data: Words, key: Hashable) -> int:
        if key not in self.known:
            self.memories.setdefault(memory, []).append(data)
            self._room(memory, len(data), key)
        return self.known[key]

    def _room(self, memory: int, entries: int, key: Hashable) -> int:
        """The first of some entries of a memory, which are those of the key."""
        if key not in self.known:
            self.known[key] = self.used.get(memory, 0)
            self.used[memory] = self.known[key] + entries
            depth = {WORDS: "WORD", WEIGHTS: "WEIGHT", MASKS: "MASK", BIAS: "BIAS"}
            most = self.parameters[f"{depth.get(memory, 'VECTOR')}_DEPTH"]
            if self.used[memory] > most:
                raise DeviceError(
                    f"device rtl: memory {memory} of the layer engine holds {most} entries: "
                    f"{self.used[memory]} needed: run fewer layers or timesteps at once"
                )
        return self.known[key]

    def _write(self, memory: int, address: int, data: Words) -> Words:
        head = np.array([1, memory, address, len(data), data.shape[1]], np.int32)
        return np.concatenate([head, data.reshape(-1)])
