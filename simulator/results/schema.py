"""The tables and the provenance that a result holds: names, types, units and meanings.

The checks, the saved files and docs/metrics.md all follow from what is listed here.
"""

from __future__ import annotations

from typing import NamedTuple

SCHEMA = "stasim-result/1"

CAUSES = {
    "dram_weights": "weights on their way from DRAM",
    "dram_activations": "spikes, masks or results on their way from or to DRAM",
    "weight_port": "the port over which weights enter the array",
    "vector_unit": "the vector unit: neurons, residuals, pooling",
    "token_skip": "the token-skip unit: scanning a mask, compacting live rows",
    "halting": "the halting decision between blocks",
    "global_buffer": "weights, spikes or results on their way from or to the global buffer",
    "other_cores": "the array of another core, whose results this one needs",
    "other_arrays": "another array of the same core, whose results this one needs",
    "interconnect": "links between cores, global buffer and DRAM: the bits pass them, or others do",
    "other_images": "the array itself, while it works for another image that runs together",
    "array_latency": "the array's own pipeline: results not out yet that the next tile needs",
}
"""Why the PE array is idle, and what each cause means."""

CONVENTIONS = ("integers_as_acs", "integers_as_macs")
"""The two habits of the field for layers that read integers."""

SEVERITIES = ("error", "warning", "note")
"""How much a finding says: a number that means nothing, one to doubt, one to read with care."""

ORIGINS = ("trained", "calibrated", "random")
"""How a trace's weights came to be. Only trained weights have an accuracy."""


class Column(NamedTuple):
    """Describe a column: its type, unit, meaning, smallest value, allowed words, or pattern.

    A column that was added after the first version has a `default`, its value in older results, or
    is `like` another column, whose values they then hold.
    """

    dtype: str
    """int64 | float64 | str"""
    unit: str
    meaning: str
    minimum: int = 0
    choices: tuple[str, ...] = ()
    pattern: str = ""
    default: int | float | str | None = None
    like: str = ""

    @property
    def is_optional(self) -> bool:
        """Return whether older results lack it."""
        return self.default is not None or bool(self.like)


class TableSchema(NamedTuple):
    """Describe a table: what a row is, the columns that name it, and all columns in order.

    A result that lacks an optional table has an empty one. A derived one follows from the others:
    every result makes its own, whatever a file holds.
    """

    meaning: str
    key: tuple[str, ...]
    columns: dict[str, Column]
    optional: bool = False
    derived: bool = False

    @property
    def per_image(self) -> bool:
        """Return whether the rows belong to images, so that tables of runs can be joined."""
        return "image" in self.key


class Entry(NamedTuple):
    """Describe an entry of the provenance: its type and meaning."""

    kind: str
    """str | positive (a number) | dict | list | pair (of whole numbers from 1)"""
    meaning: str


_IMAGE = Column("int64", "", "position of the image in the trace, from 0")
_LAYER = Column("str", "", "name of the operation in the trace")
_PART = Column("str", "", "part of the machine")
_ACTION = Column("str", "", "what the part does and counts")
_CAUSE = Column("str", "", "what the array waited for", choices=tuple(CAUSES))
_CAUSE_OF_PRICE = "operation, DRAM standard or term that the price is due to"
_STALL = Column("int64", "cycles", "cycles in which the PE array stood idle for this cause")
_ACCUMULATIONS = Column("int64", "", "accumulations whose input bit is 1 and whose token is active")
_ADDITIONS = Column(
    "int64",
    "",
    "what the PE arrays' adders add for useful accumulations, zeros left out",
    like="useful_accumulations",
)
_DRAM = Column("int64", "B", "bytes moved between chip and DRAM, both ways")


def _int(unit: str, meaning: str, minimum: int = 0) -> Column:
    return Column("int64", unit, meaning, minimum)


def _float(unit: str, meaning: str) -> Column:
    return Column("float64", unit, meaning)


def _bound(unit: str, meaning: str) -> Column:
    """A bound of an energy; -1 in a result from before there were bounds."""
    return Column("float64", unit, f"{meaning}, -1 if unknown", -1, default=-1.0)


def _text(meaning: str, choices: tuple[str, ...] = ()) -> Column:
    return Column("str", "", meaning, choices=choices)


SCHEMAS: dict[str, TableSchema] = {
    "images": TableSchema(
        "an image, run alone from an idle machine",
        ("image",),
        {
            "image": _IMAGE,
            "image_id": _text("the data set's name of the image"),
            "label": _int("", "true class, -1 if unknown", -1),
            "prediction": _int("", "class that the model answered, -1 if unknown", -1),
            "latency_cycles": _int("cycles", "from the first start to the last finish", 1),
            "latency_ms": _float("ms", "latency_cycles at the machine's clock"),
            "useful_accumulations": _ACCUMULATIONS,
            "utilization": _float("", "additions / (adders of all PE arrays x latency)"),
            "pe_occupancy": _float("", "share of the latency in which the PE array is held"),
            "dram_bytes": _DRAM,
            "dynamic_energy_pj": _float("pJ", "energy of all counted actions"),
            "leakage_energy_pj": _float("pJ", "always-on power times latency"),
            "energy_pj": _float("pJ", "dynamic and always-on energy"),
            "energy_delay_pj_ms": _float("pJ ms", "energy times latency (EDP)"),
            "active_tokens": _int("", "computed tokens, over all blocks and timesteps"),
            "token_slots": _int("", "tokens there would be without halting"),
            "floor_cycles": _int("cycles", "no schedule of this work is shorter"),
            "ceiling_cycles": _int("cycles", "all operations one after another"),
            "images_together": Column(
                "int64", "", "images that ran together, this one included", 1, default=1
            ),
            "energy_low_pj": _bound("pJ", "energy with all prices at their low bounds"),
            "energy_high_pj": _bound("pJ", "energy with all prices at their high bounds"),
            "additions": _ADDITIONS,
        },
    ),
    "layers": TableSchema(
        "a layer of an image",
        ("image", "layer"),
        {
            "image": _IMAGE,
            "layer": _LAYER,
            "stage": _text("part of the network"),
            "block": _int("", "Transformer block from 0, -1 outside the blocks", -1),
            "kind": _text("kind of the operation"),
            "first_start_cycle": _int("cycles", "start of the layer's first operation"),
            "last_finish_cycle": _int("cycles", "finish of the layer's last operation"),
            "pe_busy_cycles": _int("cycles", "cycles in which the layer holds the PE array"),
            "vector_busy_cycles": _int("cycles", "cycles in which it holds the vector unit"),
            "dram_busy_cycles": _int("cycles", "cycles in which it holds DRAM channels, summed"),
            "useful_accumulations": _ACCUMULATIONS,
            "rows": _int("", "rows (tokens or pixels) over all timesteps"),
            "live_rows": _int("", "rows whose token is active"),
            "dram_bytes": _DRAM,
            "energy_pj": _float("pJ", "dynamic energy of the layer's actions"),
            "additions": _ADDITIONS,
            "input_rate": Column(
                "float64",
                "",
                "share of the values entering the layer that are not zero, those of halted tokens "
                "included as zeros; -1 if unknown",
                -1,
                default=-1.0,
            ),
        },
    ),
    "units": TableSchema(
        "a unit of the machine while it runs an image",
        ("image", "unit"),
        {
            "image": _IMAGE,
            "unit": _text("unit that operations wait for"),
            "servers": _int("", "how many operations it holds at once", 1),
            "busy_cycles": _int("cycles", "busy cycles of all its servers"),
            "occupancy": _float("", "busy cycles per server and cycle of latency"),
        },
    ),
    "stalls": TableSchema(
        "a cause of idle cycles of the PE array in an image",
        ("image", "cause"),
        {"image": _IMAGE, "cause": _CAUSE, "stall_cycles": _STALL},
    ),
    "layer_stalls": TableSchema(
        "a cause of idle cycles of the PE array, by the layer that was waited for",
        ("image", "layer", "cause"),
        {
            "image": _IMAGE,
            "layer": _text("layer whose operation was waited for"),
            "cause": _CAUSE,
            "stall_cycles": _STALL,
        },
    ),
    "actions": TableSchema(
        "a counted action of a layer",
        ("image", "layer", "part", "action"),
        {
            "image": _IMAGE,
            "layer": _LAYER,
            "part": _PART,
            "action": _ACTION,
            "count": _int("", "how often the part did it"),
            "energy_pj": _float("pJ", "count times price"),
        },
    ),
    "prices": TableSchema(
        "an action's price",
        ("part", "action"),
        {
            "part": _PART,
            "action": _ACTION,
            "meaning": _text("the action in words"),
            "energy_pj": _float("pJ", "energy of doing it once"),
            "source": _text("where the number comes from"),
            "low_pj": _bound("pJ", "its low bound"),
            "high_pj": _bound("pJ", "its high bound"),
        },
    ),
    "leakage": TableSchema(
        "power that a part draws as long as the machine is on, by cause",
        ("part", "cause"),
        {
            "part": _PART,
            "power_uw": _float("µW", "power as long as the machine is on"),
            "source": _text("where the number comes from"),
            "cause": Column("str", "", _CAUSE_OF_PRICE, default="sram_leakage"),
            "low_uw": _bound("µW", "its low bound"),
            "high_uw": _bound("µW", "its high bound"),
        },
    ),
    "energies": TableSchema(
        "an image's energy of a part's action, or of what a part draws all the time, by cause",
        ("image", "part", "action", "cause"),
        {
            "image": _IMAGE,
            "part": _PART,
            "action": _text("what the part does; `always on`: what it draws all the time"),
            "cause": _text(_CAUSE_OF_PRICE),
            "energy_low_pj": _float("pJ", "with this price at its low bound"),
            "energy_pj": _float("pJ", "energy"),
            "energy_high_pj": _float("pJ", "with this price at its high bound"),
        },
        optional=True,
    ),
    "active_tokens": TableSchema(
        "a block at a timestep of an image",
        ("image", "timestep", "block"),
        {
            "image": _IMAGE,
            "timestep": _int("", "timestep, from 0"),
            "block": _int("", "Transformer block, from 0"),
            "active_tokens": _int("", "tokens computed there"),
            "tokens": _int("", "tokens there would be without halting"),
        },
    ),
    "token_masks": TableSchema(
        "which tokens a block computed at a timestep, of the first images",
        ("image", "timestep", "block"),
        {
            "image": _IMAGE,
            "timestep": _int("", "timestep, from 0"),
            "block": _int("", "Transformer block, from 0"),
            "active_hex": Column(
                "str",
                "",
                "a bit per token in hexadecimal bytes, token 0 in the lowest bit of the first",
                pattern="([0-9a-f]{2})*",
            ),
        },
        optional=True,
    ),
    "pictures": TableSchema(
        "the picture that the network looked at, of the first images",
        ("image",),
        {
            "image": _IMAGE,
            "png_base64": Column(
                "str", "", "a small PNG in base64", pattern="[A-Za-z0-9+/]+={0,2}"
            ),
        },
        optional=True,
    ),
    "field_energy": TableSchema(
        "a stage's energy by the field's habit",
        ("image", "stage", "convention"),
        {
            "image": _IMAGE,
            "stage": _text("part of the network"),
            "convention": _text("how layers that read integers are counted", CONVENTIONS),
            "macs": _float("", "multiply-accumulates, rates applied"),
            "acs": _float("", "accumulates, rates applied"),
            "energy_pj": _float("pJ", "4.6 pJ a MAC, 0.9 pJ an AC"),
        },
    ),
    "firing": TableSchema(
        "a stored tensor of spikes, or an input, of an image",
        ("image", "tensor"),
        {
            "image": _IMAGE,
            "tensor": _text("name of the tensor in the trace"),
            "layer": _text("layer that makes it, empty for an input of the network"),
            "kind": _text("spikes or integer"),
            "live": _int("", "values, over all timesteps, of tokens that have not halted"),
            "nonzero": _int("", "those that are not zero"),
        },
        optional=True,
    ),
    "findings": TableSchema(
        "a reason to doubt a number, the most severe first",
        ("check", "place"),
        {
            "severity": _text("how much it says", SEVERITIES),
            "check": _text("check that found it"),
            "place": _text("layer, tensor, unit or field; empty where it is none"),
            "message": _text("what was found"),
        },
        optional=True,
        derived=True,
    ),
    "stream": TableSchema(
        "an image of a stream: images that arrive one after another and share the machine",
        ("position",),
        {
            "position": _int("", "place in the stream, in order of arrival, from 0"),
            "image": _IMAGE,
            "place": _int("", "which of the images in flight it is, from 0"),
            "arrival_cycle": _int("cycles", "cycle of its arrival"),
            "start_cycle": _int("cycles", "cycle in which it begins: a place is free for it"),
            "finish_cycle": _int("cycles", "finish of its last operation"),
            "queueing_cycles": _int("cycles", "from arrival to start"),
            "service_cycles": _int("cycles", "from start to finish, other images beside it"),
            "latency_cycles": _int("cycles", "from arrival to finish"),
        },
        optional=True,
    ),
    "stream_queue": TableSchema(
        "a cycle after which other images wait or are in flight than before",
        ("cycle",),
        {
            "cycle": _int("cycles", "from the beginning of the stream"),
            "waiting": _int("", "images that have arrived and not begun"),
            "in_flight": _int("", "images that have begun and not finished"),
        },
        optional=True,
    ),
    "stream_savings": TableSchema(
        "an action that the images of a stream do less often than alone: weights stay on chip",
        ("part", "action"),
        {
            "part": _PART,
            "action": _ACTION,
            "count": _int("", "how often less, all images of the stream together"),
            "energy_pj": _float("pJ", "count times price"),
        },
        optional=True,
    ),
    "stream_units": TableSchema(
        "a unit of the machine over the whole stream",
        ("unit",),
        {
            "unit": _text("unit that operations wait for"),
            "servers": _int("", "how many operations it holds at once", 1),
            "busy_cycles": _int("cycles", "busy cycles of all its servers"),
            "occupancy": _float(
                "", "busy cycles per server and cycle from the first arrival to the last finish"
            ),
        },
        optional=True,
    ),
}
"""Every table of a result."""

PROVENANCE: dict[str, Entry] = {
    "schema": Entry("str", f"{SCHEMA!r}"),
    "stasim": Entry("str", "version of the simulator"),
    "engine": Entry("str", "engine that replayed the program"),
    "command": Entry("str", "command line"),
    "architecture.name": Entry("str", "name of the machine"),
    "architecture.source": Entry("str", "where its numbers come from"),
    "architecture.content_hash": Entry("str", "hash of all its fields"),
    "architecture.clock_mhz": Entry("positive", "clock"),
    "architecture.node_nm": Entry("positive", "technology node"),
    "architecture.voltage_v": Entry("positive", "supply voltage"),
    "architecture.pe_array": Entry("str", "kind of the PE array"),
    "architecture.token_skip": Entry("str", "kind of the token-skip unit"),
    "architecture.dataflow": Entry("str", "kind of the dataflow"),
    "architecture.document": Entry("dict", "the whole validated machine"),
    "architecture.roofline.peak_accumulations_per_cycle": Entry(
        "positive", "additions a cycle of all adders of the PE arrays"
    ),
    "architecture.roofline.dram_bytes_per_cycle": Entry("positive", "bytes a cycle of all DRAM"),
    "energy_table.name": Entry("str", "name of the energy table"),
    "energy_table.summary": Entry("str", "what the table holds"),
    "energy_table.node_nm": Entry("positive", "technology node of its numbers"),
    "energy_table.voltage_v": Entry("positive", "voltage of its logic"),
    "trace.file": Entry("str", "file name of the trace"),
    "trace.content_hash": Entry("str", "hash of the trace"),
    "trace.model": Entry("dict", "the network, as the trace states it"),
    "trace.dataset": Entry("dict", "the images, as the trace states them"),
    "trace.weights": Entry("dict", "the weights, as the trace states them"),
    "trace.weights.origin": Entry("str", ", ".join(ORIGINS)),
    "versions": Entry("dict", "versions of what computed the result"),
}
"""What the provenance holds at least, by path. It may hold more."""


OPTIONAL_PROVENANCE: dict[str, Entry] = {
    "trace.model.name": Entry("str", "name of the network"),
    "trace.model.token_grid": Entry("pair", "rows and columns of tokens in the image"),
    "trace.capture": Entry("dict", "what the capture of the network proved of itself"),
    "trace.order": Entry("str", "how the parts of the network run"),
    "trace.rounding": Entry("dict", "largest error by tensor that was rounded"),
    "trace.stages_missing": Entry("list", "stages that the dataflow orders and the trace lacks"),
}
"""What the provenance may hold, by path: where it is there it is of this kind."""
