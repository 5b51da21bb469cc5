"""Each rule of the manifest, broken, gives a line with its place, value and rule; all at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from simulator.errors import TraceError
from simulator.trace import Trace
from simulator.trace_format.kinds import KINDS
from simulator.trace_format.manifest import check_manifest
from tests.broken_traces import Unzipped
from tests.captured_manifest import CAPTURED
from tests.factories import tiny_content, tiny_trace

Change = Callable[[dict[str, Any]], Any]


@pytest.fixture
def sound(tmp_path: Path) -> Unzipped:
    return Unzipped.load(tiny_trace(tmp_path / "x.npz"))


def problems_of(unzipped: Unzipped) -> list[str]:
    with pytest.raises(TraceError) as caught:
        check_manifest(unzipped.seal_manifest().manifest, "x.npz: manifest")
    lines = str(caught.value).splitlines()
    assert all(line.startswith("x.npz: manifest: ") for line in lines)
    return [line.removeprefix("x.npz: manifest: ") for line in lines]


def section(name: str, **fields: Any) -> Change:
    return lambda manifest: manifest[name].update(fields)


def without(*path: Any) -> Change:
    def change(manifest: Any) -> None:
        for key in path[:-1]:
            manifest = manifest[key]
        del manifest[path[-1]]

    return change


def entry(kind: str, name: str, /, **fields: Any) -> Change:
    """Change fields of a tensor or an operation; a field a__b is b within a."""

    def change(manifest: dict[str, Any]) -> None:
        found = next(item for item in manifest[kind] if item["name"] == name)
        for field, value in fields.items():
            *outer, last = field.split("__")
            target = found[outer[0]] if outer else found
            target[last] = value

    return change


def tensor(name: str, /, **fields: Any) -> Change:
    return entry("tensors", name, **fields)


def operation(name: str, /, **fields: Any) -> Change:
    return entry("operations", name, **fields)


def swapped(first: int, second: int) -> Change:
    """Two operations in the other order."""

    def change(manifest: dict[str, Any]) -> None:
        operations = manifest["operations"]
        operations[first], operations[second] = operations[second], operations[first]

    return change


Q, Q_LINEAR, Q_LIF = "blocks.0.attn.q", "blocks.0.attn.q_linear", "blocks.0.attn.q_lif"

# What is broken, how, and the line that must be among those of the error.
CASES: dict[str, tuple[Change, str]] = {
    "section missing": (without("model"), "model is missing: must be an object"),
    "field missing": (
        without("model", "tokens"),
        "model.tokens is missing: must be an integer from 1 to 2147483647",
    ),
    "unknown section": (
        lambda manifest: manifest.update(models={}),
        "manifest: key = \"models\": must be one of the schema (did you mean 'model'?; known: ",
    ),
    "text for number": (
        section("model", timesteps="4"),
        'model.timesteps = "4": must be an integer from 1 to 4096',
    ),
    "true for number": (
        section("model", blocks=True),
        "model.blocks = true: must be an integer from 1 to 1024",
    ),
    "grid of three": (
        section("model", token_grid=[4, 2, 2]),
        "model.token_grid = [4, 2, 2]: must be a list of 2, each an integer from 1",
    ),
    "tokens and grid": (
        section("model", token_grid=[4, 5]),
        "model.tokens = 16: must be height x width of token_grid, [4, 5]",
    ),
    "granularity": (
        section("model", halting={"granularity": "token"}),
        'model.halting.granularity = "token": must be one of none, block, timestep, two_dim',
    ),
    "images": (section("dataset", images=3), "dataset.images = 3: must be the items of image_"),
    "image ids": (
        section("dataset", image_ids=[1]),
        "dataset.image_ids = [1]: must be one for each image of image_sha256, 2",
    ),
    "origin": (
        section("weights", origin="guessed"),
        'weights.origin = "guessed": must be one of calibrated, trained, random',
    ),
    "accuracy of random weights": (
        section("weights", accuracy={"test_top1": 0.9}),
        "weights.accuracy = {\"test_top1\": 0.9}: must be null, since weights.origin is 'random'",
    ),
    "accuracy of calibrated weights": (
        section("weights", origin="calibrated", accuracy={"test_top1": 0.9}),
        "must be null, since weights.origin is 'calibrated' and not 'trained'",
    ),
    "weights' hash": (
        section("weights", sha256="abc"),
        'weights.sha256 = "abc": must be 64 hexadecimal digits',
    ),
    "path as a version": (
        section("created_by", torch=["/usr"]),
        '"torch": ["/usr"]}: must be an object, each value a string',
    ),
    "no tensors": (
        lambda manifest: manifest.update(tensors=[]),
        "tensors = []: must be a list of at least one, each an object",
    ),
    "tensor key": (
        tensor(Q, plane=1),
        "tensors[5]: key = \"plane\": must be one of the schema (did you mean 'planes'?",
    ),
    "tensor name": (
        tensor(Q, name="../q"),
        'tensors[5].name = "../q": must be a name of at most 128 letters, digits',
    ),
    "tensor name twice": (
        tensor(Q, name="blocks.0.attn.k"),
        'tensors[6].name = "blocks.0.attn.k": must be a name that no earlier tensor has',
    ),
    "tensor kind": (tensor(Q, kind="real"), 'tensors[5].kind = "real": must be one of spikes,'),
    "tensor grid": (
        tensor(Q, grid=[4, 5]),
        "tensors[5] (blocks.0.attn.q).rows = 16: must be height x width of its grid, [4, 5]",
    ),
    "planes of spikes": (
        tensor(Q, planes=2),
        "tensors[5] (blocks.0.attn.q).planes = 2: must be 1 for spikes",
    ),
    "timesteps of a tensor": (
        tensor("blocks.0.x", timesteps=3),
        "tensors[4] (blocks.0.x).timesteps = 3: must be 1 or the timesteps of the model, 2",
    ),
    "mask of no block": (
        tensor(Q, mask="2"),
        'tensors[5] (blocks.0.attn.q).mask = "2": must be the number of a block, at most 1',
    ),
    "mask that is no number": (
        tensor(Q, mask="00"),
        'tensors[5].mask = "00": must be null or the number of a block',
    ),
    "mask of one timestep": (
        tensor("blocks.0.x", mask="0"),
        'tensors[4] (blocks.0.x).mask = "0": must be null: its timesteps and rows (1, 16) are not',
    ),
    "more ones than bits": (
        tensor(Q, nonzero=10**6),
        "tensors[5] (blocks.0.attn.q).nonzero = 1000000: must be at most its 1536 values",
    ),
    "ones and nonzero": (
        tensor(Q, ones=9, nonzero=8),
        "tensors[5] (blocks.0.attn.q).ones = 9: must be from nonzero, 8, to nonzero x planes, 8",
    ),
    "size of an image": (
        tensor(Q, channels=2**31 - 1),
        "tensors: bytes of one image = ",
    ),
    "number of members": (
        lambda m: m["tensors"].extend({**m["tensors"][1], "name": f"x{i}"} for i in range(4096)),
        "tensors: members of the archive = 4124: must be at most 4096",
    ),
    "operation key": (
        operation(Q_LINEAR, input_bit=1),
        'operations[7]: key = "input_bit": must be one of the schema (did you mean',
    ),
    "operation kind": (
        operation(Q_LINEAR, kind="linears"),
        'operations[7].kind = "linears": must be one of conv2d, linear, attention_scores',
    ),
    "shapes key": (
        operation(Q_LINEAR, shapes__bias=1),
        'operations[7].shapes: key = "bias": must be one of the schema (known: in_features',
    ),
    "shape missing": (
        operation(Q_LINEAR, shapes={"in_features": 24, "rows": 16}),
        "operations[7].shapes.out_features is missing: must be an integer from 1",
    ),
    "shape zero": (
        operation(Q_LINEAR, shapes__rows=0),
        "operations[7].shapes.rows = 0: must be an integer from 1",
    ),
    "parameter missing": (
        operation("sps.0.lif", parameters={"tau": 2.0, "reset": 0, "decay_input": 1}),
        "operations[2].parameters.threshold is missing: must be a number",
    ),
    "parameter a list": (
        operation(Q_LINEAR, parameters={"x": [1]}),
        'operations[7].parameters = {"x": [1]}: must be an object, each value a number or a string',
    ),
    "operation name twice": (
        operation(Q_LIF, name=Q_LINEAR),
        'operations[8] (blocks.0.attn.q_linear).name = "blocks.0.attn.q_linear": must be a name',
    ),
    "unknown input": (
        operation(Q_LINEAR, input="blocks.0.xx"),
        'operations[7] (blocks.0.attn.q_linear).input = "blocks.0.xx": must be a stored tensor or '
        "the output of an earlier operation (did you mean 'blocks.0.x'?",
    ),
    "input from later": (
        swapped(7, 8),
        f'operations[7] ({Q_LIF}).input = "{Q_LINEAR}": must be a stored tensor or the output',
    ),
    "stored input from later": (
        operation(Q_LINEAR, input="head.x"),
        f'operations[7] ({Q_LINEAR}).input = "head.x": must be a stored tensor or the output',
    ),
    "output twice": (
        operation("blocks.0.attn.k_lif", output=Q),
        f'operations[10] (blocks.0.attn.k_lif).output = "{Q}": must be a name that no earlier op',
    ),
    "features": (
        operation(Q_LINEAR, shapes__in_features=23),
        f'({Q_LINEAR}).input = "blocks.0.x: 16 rows of 24 channels": must be 16 rows of 23',
    ),
    "output features": (
        operation(Q_LINEAR, shapes__out_features=23),
        f'({Q_LIF}).input = "{Q_LINEAR}: 16 rows of 23 channels": must be 16 rows of 24',
    ),
    "heads": (
        operation("blocks.0.attn.scores", shapes__heads=3),
        f'(blocks.0.attn.scores).input = "{Q}: 16 rows of 24 channels": must be 16 rows of 36',
    ),
    "second input from later": (
        operation("blocks.0.attn.context", second_input="blocks.0.mlp.hidden"),
        '(blocks.0.attn.context).second_input = "blocks.0.mlp.hidden": must be a stored tensor',
    ),
    "second input missing": (
        operation("blocks.0.attn.scores", second_input=None),
        "(blocks.0.attn.scores).second_input = null: must be a name for kind 'attention_scores'",
    ),
    "second input too much": (
        operation(Q_LINEAR, second_input="blocks.0.x"),
        f"({Q_LINEAR}).second_input = \"blocks.0.x\": must be null for kind 'linear'",
    ),
    "in_grid": (
        operation("sps.0.conv", shapes__in_grid=[4, 16], shapes__out_grid=[4, 16]),
        "(sps.0.conv).shapes.in_grid = [4, 16]: must be that of sps.image, (8, 8)",
    ),
    "out_grid": (
        operation("sps.0.pool", shapes__out_grid=[4, 3]),
        "(sps.0.pool).shapes.out_grid = [4, 3]: must be [4, 4], (in_grid + 2 padding - kernel) //",
    ),
    "stored output's size": (
        tensor("blocks.0.mlp.hidden", channels=47),
        "tensor blocks.0.mlp.hidden: timesteps, rows, channels = [2, 16, 47]: must be (2, 16, 48)",
    ),
    "neurons into integers": (
        tensor(Q, kind="integer"),
        f'tensor {Q}: kind = "integer": must be spikes, from {Q_LIF}',
    ),
    "output's mask": (
        tensor(Q, mask=None),
        f"tensor {Q}: mask = null: must be that of {Q_LIF}, '0', which leaves out halted rows",
    ),
    "timesteps of an operation": (
        operation(Q_LINEAR, timesteps=3),
        f"({Q_LINEAR}).timesteps = 3: must be 1 or the timesteps of the model, 2",
    ),
    "timesteps of the input": (
        operation("blocks.0.attn.lif", timesteps=1),
        "(blocks.0.attn.lif).timesteps = 1: must be 1 or the timesteps of its input",
    ),
    "operation's mask": (
        operation("sps.0.conv", mask="0"),
        '(sps.0.conv).mask = "0": must be null: its timesteps and rows (1, 64) are not those',
    ),
    "bits of an input": (
        operation(Q_LINEAR, input_bits=1),
        f"({Q_LINEAR}).input_bits = 1: must be the planes of its input blocks.0.x, 2",
    ),
    "no weights": (
        operation(Q_LINEAR, weight_bits=0),
        f"({Q_LINEAR}).weight_bits = 0: must be at least 1 for kind 'linear'",
    ),
    "weights of neurons": (
        operation(Q_LIF, weight_bits=8),
        f"({Q_LIF}).weight_bits = 8: must be 0 for kind 'lif'",
    ),
    "block before the blocks": (
        operation("sps.0.conv", block=0),
        "(sps.0.conv).block = 0: must be null in stage 'sps'",
    ),
    "no block in the blocks": (
        operation(Q_LINEAR, block=None),
        f"({Q_LINEAR}).block = null: must be an integer from 0 to 1 in stage 'blocks'",
    ),
    "block that is not there": (
        operation(Q_LINEAR, block=2),
        f"({Q_LINEAR}).block = 2: must be an integer from 0 to 1 in stage 'blocks'",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_does_a_broken_rule_give_a_line_with_place_value_and_rule(
    case: str, sound: Unzipped
) -> None:
    change, line = CASES[case]
    change(sound.manifest)
    lines = problems_of(sound)
    assert any(line in found for found in lines), lines


def test_are_all_problems_told_at_once(sound: Unzipped) -> None:
    """Of sections, tensors and operations, in fields and between entries."""
    cases = ("grid of three", "origin", "tensor kind", "features", "no weights", "out_grid")
    for case in cases:
        CASES[case][0](sound.manifest)
    lines = problems_of(sound)
    for case in cases:
        assert any(CASES[case][1] in line for line in lines), (case, lines)
    assert not any(line.startswith("content_hash") for line in lines)


def test_does_one_broken_entry_not_make_others_look_broken(sound: Unzipped) -> None:
    """What reads from a broken entry is not blamed for it."""
    CASES["shape zero"][0](sound.manifest)
    assert problems_of(sound) == [
        "operations[7].shapes.rows = 0: must be an integer from 1 to 2147483647"
    ]


def test_is_a_second_input_held_to_its_size(sound: Unzipped) -> None:
    operation("blocks.1.attn.context", second_input="blocks.0.mlp.hidden")(sound.manifest)
    assert problems_of(sound) == [
        'operations[32] (blocks.1.attn.context).second_input = "blocks.0.mlp.hidden: 16 rows of 48 '
        'channels": must be 16 rows of 24 channels, by the shapes of the operation'
    ]


@pytest.mark.parametrize(
    "change",
    [
        section("model", mood="calm"),
        section("weights", origin="trained", accuracy={"test_top1": 0.97, "test_images": 1000}),
        section("weights", calibration={"passes": [1, 2]}, notes="none"),
        section("dataset", image_ids=["a", 7]),
        operation("sps.0.lif", parameters__decay_input=True, parameters__alpha=4.0),
        operation("head", timesteps=2),
    ],
)
def test_is_provenance_free_to_say_more(change: Change, sound: Unzipped) -> None:
    change(sound.manifest)
    check_manifest(sound.seal_manifest().manifest, "x.npz: manifest")


def without_products(manifest: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """Puts the three operations of `kind` in the place of block 0's scores, context and LIF."""
    operations = manifest["operations"]
    index = next(i for i, item in enumerate(operations) if item["kind"] == "attention_scores")
    scores, context, lif = operations[index : index + 3]
    q = next(item for item in manifest["tensors"] if item["name"] == scores["input"])
    tokens, heads, channels = q["rows"], scores["shapes"]["heads"], q["channels"]
    columns = kind == "spike_driven_attention"
    rows, width = (1, channels) if columns else (tokens, heads)
    gate = {**q, "name": "blocks.0.attn.gate", "rows": rows, "channels": width, "mask": q["mask"]}
    gate |= {"ones": 0, "nonzero": 0}
    if columns:
        gate |= {"grid": [1, 1], "mask": None}
    manifest["tensors"].insert(manifest["tensors"].index(q) + 1, gate)
    k, v = scores["second_input"], context["second_input"]
    summed = {
        **scores,
        "name": "blocks.0.attn.sums",
        "output": "blocks.0.attn.sums",
        "kind": kind,
        "input": k if columns else q["name"],
        "second_input": v if columns else None,
    }
    fired = {
        **lif,
        "input": "blocks.0.attn.sums",
        "shapes": {"rows": rows, "channels": width},
        "output": gate["name"],
        "mask": gate["mask"],
    }
    gated = {
        **scores,
        "name": "blocks.0.attn.gated",
        "kind": "spike_gate",
        "input": q["name"] if columns else k,
        "second_input": gate["name"],
        "output": lif["output"],
        "shapes": {"rows": tokens, "channels": channels, "gate_rows": rows, "gate_channels": width},
    }
    operations[index : index + 3] = [summed, fired, gated]
    return [summed, fired, gated]


GATED = ("spike_driven_attention", "token_qk_attention")


@pytest.mark.parametrize("kind", GATED)
def test_does_the_schema_know_attention_without_products(kind: str, sound: Unzipped) -> None:
    without_products(sound.manifest, kind)
    check_manifest(sound.seal_manifest().manifest, "x.npz: manifest")


@pytest.mark.parametrize("kind", GATED)
@pytest.mark.parametrize(
    ("at", "change", "words"),
    [
        (0, {"shapes": {"heads": 2, "head_dim": 12, "tokens": 15}}, "15 rows of 24 channels"),
        (2, {"second_input": None}, "a name for kind 'spike_gate'"),
        (2, {"gate_rows": 2}, "must be 1 or its rows, 16"),
        (2, {"gate_channels": 7}, "must be a divisor of its channels, 24"),
    ],
)
def test_is_attention_without_products_held_to_its_shapes(
    kind: str, at: int, change: dict[str, Any], words: str, sound: Unzipped
) -> None:
    operation = without_products(sound.manifest, kind)[at]
    inner = {key: value for key, value in change.items() if key.startswith("gate")}
    operation["shapes"] = {**operation["shapes"], **inner}
    operation |= {key: value for key, value in change.items() if key not in inner}
    lines = problems_of(sound)
    assert any(words in line for line in lines), lines


@pytest.mark.parametrize("second", [True, False])
def test_is_the_second_input_of_linear_attention_free(second: bool, sound: Unzipped) -> None:
    operations = sound.manifest["operations"]
    index = next(i for i, item in enumerate(operations) if item["kind"] == "attention_scores")
    scores, context = operations[index : index + 2]
    linear = {**context, "kind": "linear_attention", "input": scores["input"], "input_bits": 1}
    linear["second_input"] = scores["second_input"] if second else None
    operations[index : index + 2] = [linear]
    check_manifest(sound.seal_manifest().manifest, "x.npz: manifest")


def test_is_a_mean_over_tokens_one_row(sound: Unzipped) -> None:
    operations = sound.manifest["operations"]
    head = operations[-1]
    size = {"tokens": head["shapes"]["tokens"], "channels": head["shapes"]["in_features"]}
    mean = {**head, "name": "mean", "output": "mean", "kind": "token_mean", "shapes": size}
    operations.insert(-1, mean | {"weight_bits": 0})
    head |= {"input": "mean", "input_bits": 0, "shapes": {**head["shapes"], "tokens": 1}}
    check_manifest(sound.seal_manifest().manifest, "x.npz: manifest")
    head["shapes"]["tokens"] = 2
    assert any("must be 2 rows" in line for line in problems_of(sound))


def test_do_the_tiny_traces_hold_every_kind_but_those_tested_above() -> None:
    kinds = {item["kind"] for item in tiny_content().manifest["operations"]} | CAPTURED
    assert KINDS.keys() - kinds == {"linear_attention", "spike_gate", "token_mean", *GATED}


def test_does_opening_a_file_tell_the_problems_of_its_manifest(
    sound: Unzipped, tmp_path: Path
) -> None:
    CASES["origin"][0](sound.manifest)
    path = sound.seal_manifest().save(tmp_path / "broken.npz")
    with pytest.raises(TraceError) as caught:
        Trace.open(path)
    assert str(caught.value) == f"{path}: manifest: {CASES['origin'][1]}"
