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
from tests.messages import cases, rows

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

CASES = rows("broken_manifest")
CHANGES: dict[str, Callable[..., Change]] = {
    "section": section,
    "without": without,
    "tensor": tensor,
    "operation": operation,
    "swapped": swapped,
}
SPECIAL: dict[str, Change] = {
    "unknown section": lambda manifest: manifest.update(models={}),
    "no tensors": lambda manifest: manifest.update(tensors=[]),
    "number of members": lambda m: m["tensors"].extend(
        {**m["tensors"][1], "name": f"x{i}"} for i in range(4096)
    ),
}


def broken(case: str, sound: Unzipped) -> None:
    """Change a manifest as a row of the table says."""
    (name, *words), fields, _ = CASES[case]
    change = SPECIAL[case] if name == "special" else CHANGES[name](*words, **fields)
    change(sound.manifest)


@pytest.mark.parametrize("case", CASES)
def test_does_a_broken_rule_give_a_line_with_place_value_and_rule(
    case: str, sound: Unzipped
) -> None:
    broken(case, sound)
    lines = problems_of(sound)
    assert any(CASES[case][-1] in line for line in lines), lines


def test_are_all_problems_told_at_once(sound: Unzipped) -> None:
    """Of sections, tensors and operations, in fields and between entries."""
    cases = ("grid of three", "origin", "tensor kind", "features", "no weights", "out_grid")
    for case in cases:
        broken(case, sound)
    lines = problems_of(sound)
    for case in cases:
        assert any(CASES[case][-1] in line for line in lines), (case, lines)
    assert not any(line.startswith("content_hash") for line in lines)


def test_does_one_broken_entry_not_make_others_look_broken(sound: Unzipped) -> None:
    """What reads from a broken entry is not blamed for it."""
    broken("shape zero", sound)
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
@cases("is_attention_without_products_held_to_its_shapes")
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
    broken("origin", sound)
    path = sound.seal_manifest().save(tmp_path / "broken.npz")
    with pytest.raises(TraceError) as caught:
        Trace.open(path)
    assert str(caught.value) == f"{path}: manifest: {CASES['origin'][-1]}"
