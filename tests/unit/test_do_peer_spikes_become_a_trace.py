"""Do spikes in the peer's layout become a trace, and is a pickle refused unread?"""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.prosperity.baselines import ptb
from experiments.prosperity.peer_files import spikformer, vgg9
from experiments.prosperity.to_trace import main
from experiments.prosperity.workload import Attention, Neurons, Operation, Product, pack_rows
from simulator.operations import read_network
from simulator.trace import Trace
from tests.messages import said


def written(path: Path, operations: list[Operation]) -> Path:
    """Random spikes of all operations, in the peer's layout."""
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for each in operations:
        if isinstance(each, Product):
            shape: tuple[int, ...] = (each.timesteps, each.positions, each.inputs)
            if each.taps > 1:
                side = int(each.positions**0.5)
                shape = (each.timesteps, each.inputs // each.taps, side, side)
            arrays[each.name] = random.random(shape) < 0.2
        elif isinstance(each, Attention):
            channels = each.heads * each.head_dim
            for part in "qkv":
                shape = (each.timesteps, each.tokens, channels)
                arrays[f"{each.name}_{part}"] = random.random(shape) < 0.2
    stored: dict[str, Any] = {name: np.packbits(bits) for name, bits in arrays.items()}
    stored |= {f"{name}__shape": bits.shape for name, bits in arrays.items()}
    np.savez(path, **stored)
    return path


@pytest.mark.parametrize("name", ["vgg9", "spikformer"])
def test_every_product_of_the_peer_is_a_layer(name: str, tmp_path: Path) -> None:
    networks = {"vgg9": vgg9(4, 16), "spikformer": spikformer(64, 1, 2, 4, (16, 16, 8, 4))}
    operations = networks[name]
    source = written(tmp_path / "peer.npz", operations)
    assert main([str(source), "--out", str(tmp_path / "trace.npz")]) == 0
    with Trace.open(tmp_path / "trace.npz") as trace:
        layers = {layer.name: layer for layer in read_network(trace).layers}
        image = trace.read(0)
    products = [each for each in operations if not isinstance(each, Neurons)]
    with np.load(source) as file:
        for each in products:
            if isinstance(each, Product):
                layer = layers[each.name]
                assert (layer.rows, layer.inputs) == (each.positions, each.inputs)
                assert layer.outputs == each.outputs
                ones = int(np.bitwise_count(image.tensors[f"{each.name}.in"]).sum())
                assert ones == int(np.bitwise_count(file[each.name]).sum())
            else:
                scores = layers[f"{each.name}.scores"]
                assert (scores.groups, scores.rows, scores.inputs) == (2, 16, 32)


def test_a_pickle_is_refused_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    (tmp_path / "spikes.pkl").write_bytes(pickle.dumps({"fc_0": Trap()}))
    assert main([str(tmp_path / "spikes.pkl"), "--out", str(tmp_path / "trace.npz")]) == 2
    assert said("a peer's file that runs code") in capsys.readouterr().err
    np.savez(tmp_path / "objects.npz", fc_0=np.array([Trap()]), fc_0__shape=(1,))
    assert main([str(tmp_path / "objects.npz"), "--out", str(tmp_path / "trace.npz")]) == 2
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "trace.npz").exists()


def test_ptb_pairs_nothing_of_a_layer_with_one_position() -> None:
    """At two windows an input of the one and an input of the other would share a slot."""
    bits = np.zeros((8, 1, 64), bool)
    bits[0, 0, 3] = bits[5, 0, 9] = bits[6, 0, 3] = True  # inputs 3 and 9; 3 in both windows
    bits[1, 0, 20] = bits[7, 0, 40] = True
    for positions, slots in ((1, 4), (2, 3)):
        rows = np.repeat(pack_rows(bits), positions, axis=1)
        if positions == 2:
            rows[:, 1] = 0
        layer = Product("fc", 8, positions, 64, 16, rows=partial(np.copy, rows))
        (cost,) = ptb([layer])
        assert cost.compute_cycles == slots * 4 + positions * 32
