"""The schema of a trace's manifest: what each field must be.

The shapes and parameters of operations, which depend on their kind, are in trace_format/kinds.py.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
)
from pydantic.dataclasses import dataclass

from simulator.trace_format.problems import one_of

ROLES = {
    "stem": "everything ahead of the blocks",
    "blocks": "the blocks, whose tokens may halt; its operations have a block",
    "halting": "the halting decisions between blocks; its operations have a block",
    "head": "the classifier behind everything else",
    "layers": "layers of a network without blocks",
}
"""What a stage of operations is in the network. A trace has `layers`, or `stem` and `blocks`."""


def said(text: str, **limits: Any) -> Any:
    """Return a field's limits and the `text` that completes "must be ..." where it breaks them."""
    return Field(description=text, **limits)


def entire(low: int, high: int = 2**31 - 1) -> Any:
    """Return the limits of an integer, which a bool is not."""
    return said(f"an integer from {low} to {high}", strict=True, ge=low, le=high)


COUNT = "an integer from 1 to 2147483647"
NATURAL = "an integer from 0 to 2147483647"
Count = Annotated[int, entire(1)]
Natural = Annotated[int, entire(0)]
Total = Annotated[int, entire(0, 2**63 - 1)]
Steps = Annotated[int, entire(1, 4096)]
Bits = Annotated[int, entire(0, 64)]
Pair = Annotated[tuple[Count, Count], said(f"a list of 2, each {COUNT}")]
Text = Annotated[str, said("a string")]
Plain = StrictBool | StrictInt | StrictFloat | StrictStr
PlainMap = Annotated[dict[str, Plain], said("an object, each value a number or a string")]
Object = Annotated[dict[str, Any], said("an object")]
Objects = Annotated[
    list[dict[str, Any]], said("a list of at least one, each an object", min_length=1)
]
Digest = Annotated[str, said("64 hexadecimal digits", pattern="^[0-9a-f]{64}$")]
NAME = "a name of at most 128 letters, digits, _ and -, in parts joined by dots"
Name = Annotated[str, said(NAME, max_length=128, pattern=r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$")]
Mask = Annotated[
    Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,3})$")] | None,
    said("null or the number of a block, as a string"),
]
Scale = Annotated[
    StrictInt | StrictFloat | tuple[StrictInt | StrictFloat, ...],
    said("a finite number, or a list of one for each channel"),
]


class Closed(BaseModel):
    """Describe an object without other fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Open(BaseModel):
    """Describe an object that may say more: provenance is welcome."""

    model_config = ConfigDict(frozen=True, extra="allow")


class FirstManifest(Closed):
    """Describe the manifest of version 1."""

    version: Text = Field(alias="schema")
    content_hash: Annotated[
        str, said("sha256: and 64 hexadecimal digits", pattern="^sha256:[0-9a-f]{64}$")
    ]
    image_sha256: Annotated[
        list[Digest], said("a list of at least one, each 64 hexadecimal digits", min_length=1)
    ]
    created_by: Annotated[dict[str, Text], said("an object, each value a string")]
    model: Object
    dataset: Object
    weights: Object
    tensors: Objects
    operations: Objects
    capture: Object = {}
    image_timesteps: Annotated[
        list[Steps],
        said("a list of at least one, each an integer from 1 to 4096", min_length=1),
    ] = []


class Manifest(FirstManifest):
    """Describe the manifest of version 2."""

    stages: Any = None


class StagesSection(Open):
    """Hold the roles of stages, which version 2 declares."""

    stages: Annotated[
        dict[Name, Annotated[str, Field(pattern=f"^({'|'.join(ROLES)})$")]],
        said(f"an object, each value {one_of(ROLES)}, each key {NAME}"),
    ]


class HaltingSection(Open):
    """Describe the section `model.halting`."""

    granularity: Literal["none", "block", "timestep", "two_dimensional", "waking"]


class ModelSection(Open):
    """Describe the section `model`."""

    name: Text
    family: Text
    timesteps: Steps
    blocks: Annotated[int, entire(1, 1024)]
    embed_dim: Count
    heads: Count
    tokens: Count
    token_grid: Pair
    parameters: Total
    isps: Text
    halting: Object
    attention_order: Literal["scores_first", "key_values_first"] = "scores_first"


class DatasetSection(Open):
    """Describe the section `dataset`."""

    name: Text
    split: Text
    source: Text
    images: Count
    image_ids: Annotated[
        list[StrictInt | StrictStr],
        said("a list of at least one, each an integer or a string", min_length=1),
    ]


class WeightsSection(Open):
    """Describe the section `weights`."""

    origin: Literal["calibrated", "trained", "random"]
    seed: Total
    accuracy: Annotated[
        dict[str, Plain] | None, said("null or an object, each value a number or a string")
    ]
    sha256: Digest


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class TensorSpec:
    """Describe a stored tensor, as the manifest lists it.

    `kind`: `spikes` (one plane) or `integer` (bit-planes, least significant first). `timesteps`: 1
    where one value feeds every timestep. `rows`: tokens or pixels, row-major over `grid`. `mask`:
    the block whose halted rows are zero. `ones`, `nonzero`: set bits and non-zero values over all
    images. `scale`, `zero_point`, `error`: what a number means, see kinds.py; a tuple: by channel.
    """

    name: Name
    kind: Literal["spikes", "integer"]
    timesteps: Count
    planes: Annotated[int, entire(1, 32)]
    grid: Pair
    rows: Count
    channels: Count
    mask: Mask
    ones: Total
    nonzero: Total
    scale: Scale = 1.0
    zero_point: Scale = 0
    error: Annotated[StrictInt | StrictFloat, said("a finite number")] = 0.0

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return (timestep, plane, row, byte) of one image."""
        return self.timesteps, self.planes, self.rows, packed_bytes(self.channels)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Return the same as it lies in the file, where spikes have no plane axis."""
        timesteps, planes, rows, size = self.shape
        return (timesteps, rows, size) if self.kind == "spikes" else (timesteps, planes, rows, size)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ListedOperation:
    """Describe an operation, as the manifest lists it.

    `stage`: a name that the trace chooses; its role is declared in `stages`, one of ROLES.
    `input`, `second_input`: a stored tensor or the `output` of an earlier operation. `shapes`:
    integers, or tuples of them, by kind. `weight_bits`, `input_bits`: 0 where there are none.
    `mask`: the block whose halted rows are not computed. `more_inputs`: those after the second.
    """

    name: Name
    kind: Annotated[str, said("the name of a kind of operation")]
    stage: Annotated[str, said("the name of a stage")]
    block: Annotated[
        Annotated[int, entire(0, 1023)] | None, said("null or an integer from 0 to 1023")
    ]
    input: Name
    second_input: Annotated[Name | None, said(f"null or {NAME}")]
    output: Name
    timesteps: Count
    shapes: Object
    parameters: PlainMap
    weight_bits: Bits
    input_bits: Bits
    mask: Mask
    more_inputs: Annotated[
        tuple[Name, ...], said(f"a list of at least one, each {NAME}", min_length=1)
    ] = ()


@dataclasses.dataclass(frozen=True)
class OperationSpec(ListedOperation):
    """Describe an operation, with the role of its stage."""

    role: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Return the names of all inputs."""
        second = () if self.second_input is None else (self.second_input,)
        return (self.input, *second, *self.more_inputs)


def packed_bytes(channels: int) -> int:
    """Return how many bytes hold a number of bits."""
    return -(-channels // 8)
