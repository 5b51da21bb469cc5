"""What a trace's manifest lists, how it is parsed, and how it is hashed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulator.config.wording import one_line, shown
from simulator.errors import TraceError

SCHEMA = "stasim-trace/2"
FIRST_SCHEMA = "stasim-trace/1"
SCHEMAS = (FIRST_SCHEMA, SCHEMA)
ROLES = {
    "stem": "everything ahead of the blocks",
    "blocks": "the blocks, whose tokens may halt; its operations have a block",
    "halting": "the halting decisions between blocks; its operations have a block",
    "head": "the classifier behind everything else",
    "layers": "layers of a network without blocks",
}
"""What a stage of operations is in the network. A trace has `layers`, or `stem` and `blocks`."""
# The roles of the four stages that version 1 knows; without blocks its stem is plain layers.
FIRST_ROLES = {"sps": "stem", "blocks": "blocks", "halting": "halting", "head": "head"}
# Limits that keep a hostile file cheap. The largest published network (8 blocks of 768 channels,
# 224 x 224 images) needs some 20 MiB an image and 100 members; 8 MiB of manifest hold the hashes of
# 10^5 images.
MANIFEST_LIMIT_BYTES = 8 << 20
IMAGE_LIMIT_BYTES = 256 << 20
MEMBER_LIMIT = 4096
_NESTING_LIMIT = 16
_JSON_RULE = "must be JSON in UTF-8 with finite numbers of 64 bits and no key twice"


@dataclass(frozen=True)
class TensorSpec:
    """A stored tensor, as the manifest lists it.

    `kind`: `spikes` (one plane) or `integer` (bit-planes, least significant first). `timesteps`: 1
    where one value feeds every timestep. `rows`: tokens or pixels, row-major over `grid`. `mask`:
    the block whose halted rows are zero. `ones`, `nonzero`: set bits and non-zero values over all
    images. `scale`, `zero_point`, `error`: what a number means, see kinds.py; a tuple: by channel.
    """

    name: str
    kind: str
    timesteps: int
    planes: int
    grid: tuple[int, int]
    rows: int
    channels: int
    mask: str | None
    ones: int
    nonzero: int
    scale: float | tuple[float, ...] = 1.0
    zero_point: float | tuple[float, ...] = 0
    error: float = 0.0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(timestep, plane, row, byte) of one image."""
        return self.timesteps, self.planes, self.rows, packed_bytes(self.channels)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The same as it lies in the file, where spikes have no plane axis."""
        timesteps, planes, rows, size = self.shape
        return (timesteps, rows, size) if self.kind == "spikes" else (timesteps, planes, rows, size)


@dataclass(frozen=True)
class OperationSpec:
    """An operation, as the manifest lists it.

    `stage`: a name that the trace chooses; `role`: what it declares the stage to be, one of ROLES.
    `input`, `second_input`: a stored tensor or the `output` of an earlier operation. `shapes`:
    whole numbers, or tuples of them, by kind. `weight_bits`, `input_bits`: 0 where there are none.
    `mask`: the block whose halted rows are not computed. `more_inputs`: those after the second.
    """

    name: str
    kind: str
    stage: str
    role: str
    block: int | None
    input: str
    second_input: str | None
    output: str
    timesteps: int
    shapes: Mapping[str, int | tuple[int, ...]]
    parameters: Mapping[str, float | str]
    weight_bits: int
    input_bits: int
    mask: str | None
    more_inputs: tuple[str, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of all inputs."""
        second = () if self.second_input is None else (self.second_input,)
        return (self.input, *second, *self.more_inputs)


def packed_bytes(channels: int) -> int:
    """Bytes that hold so many bits."""
    return -(-channels // 8)


def reason(fault: Exception) -> str:
    """Return what a fault of the standard library says, on one line of bounded length."""
    text = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    return " ".join(text.split())[:200] or type(fault).__name__


def canonical_json(manifest: Mapping[str, Any]) -> bytes:
    """Return the one spelling of a manifest: keys sorted, no blanks, ASCII."""
    return json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def content_hash(manifest: Mapping[str, Any]) -> str:
    """Return the sha256 of the canonical JSON; the image hashes inside bind the data.

    `content_hash` is left out, `schema` counts as the first version's, and `stages` counts where it
    differs from what version 1 implies. So both versions of one content have one hash.
    """
    rest = {key: value for key, value in manifest.items() if key != "content_hash"}
    rest["schema"] = FIRST_SCHEMA
    if "stages" in rest and rest["stages"] == implied_stages(manifest):
        del rest["stages"]
    return f"sha256:{hashlib.sha256(canonical_json(rest)).hexdigest()}"


def implied_stages(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the role of each stage that operations of version 1 name.

    The manifest may break every rule; what is no known stage is left out.
    """
    items = manifest.get("operations")
    stages = [each.get("stage") for each in _objects(items)]
    model = manifest.get("model")
    halting = model.get("halting") if isinstance(model, dict) else None
    halts = halting.get("granularity") != "none" if isinstance(halting, dict) else True
    plain = not halts and "blocks" not in stages and "halting" not in stages
    roles = FIRST_ROLES | ({"sps": "layers"} if plain else {})
    return {stage: role for stage, role in roles.items() if stage in stages}


def _objects(items: object) -> list[dict[str, Any]]:
    return [each for each in items if isinstance(each, dict)] if isinstance(items, list) else []


def parse_manifest(text: bytes, source: str) -> dict[str, Any]:
    """Return the JSON object in `text`, if of a known version; TraceError names `source`."""
    try:
        manifest = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_int=_sixty_four_bits,
            parse_float=_finite,
            parse_constant=_finite,
        )
    except (ValueError, RecursionError) as error:
        raise TraceError(source, reason(error), _JSON_RULE) from error
    if _deeper_than(_NESTING_LIMIT, manifest):
        raise TraceError(source, f"must be nested at most {_NESTING_LIMIT} levels deep")
    if not isinstance(manifest, dict):
        raise TraceError(source, shown(manifest), "must be a JSON object")
    schema = manifest.get("schema")
    if schema not in SCHEMAS:
        rule = f"this program reads {' and '.join(map(repr, SCHEMAS))} only"
        raise TraceError(source, f"schema = {shown(schema)}", rule)
    return manifest


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {shown(key)} stands twice in one object")
        result[key] = value
    return result


def _sixty_four_bits(text: str) -> int:
    if len(text) > 20 or not -(2**63) <= int(text) < 2**63:
        raise ValueError(f"{one_line(text)} does not fit 64 bits")
    return int(text)


def _finite(text: str) -> float:
    if not math.isfinite(float(text)):
        raise ValueError(f"{one_line(text)} is not a finite number")
    return float(text)


def _deeper_than(levels: int, value: object) -> bool:
    if isinstance(value, dict):
        return levels == 0 or any(_deeper_than(levels - 1, child) for child in value.values())
    if isinstance(value, list):
        return levels == 0 or any(_deeper_than(levels - 1, child) for child in value)
    return False
