"""Are a board's buffers and registers used rightly, and is what it lacks one error?

tests/rtl/cocotb_benches runs the same script against the RTL.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import DeviceError
from simulator.hil import classify
from simulator.hil.network.files import FixedFile, write_fixed
from simulator.hil.network.pynq_board import PynqBoard, open_board
from simulator.hil.network.stem import widened
from simulator.hil.network.twin import run_twin
from tests.messages import refused, said
from tests.rtl.fixed_cases import other_network
from tests.rtl.rtl_cases import ROOT

ARCH = str(ROOT / "arch_configs" / "sparse_pe.yaml")


class Cached(np.ndarray):
    """A buffer that counts flushes and invalidations."""

    physical_address = 0x1000
    calls: list[str]

    def flush(self) -> None:
        self.calls.append("flush")

    def invalidate(self) -> None:
        self.calls.append("invalidate")

    def freebuffer(self) -> None:
        self.calls.append("free")


def buffer(shape: tuple[int, ...], dtype: type) -> Cached:
    made = np.zeros(shape, dtype).view(Cached)
    made.calls = []
    return made


def test_memory_and_cache_are_kept_equal() -> None:
    made: list[Cached] = []
    registers: dict[int, int] = {}
    mmio = SimpleNamespace(read=registers.__getitem__, write=registers.__setitem__)

    def allocate(shape: tuple[int, ...], dtype: type) -> Cached:
        made.append(buffer(shape, dtype))
        return made[-1]

    board = PynqBoard(allocate, mmio)
    address = board.allocate(4)
    board.write(address, np.array([7, 8], np.int32))
    assert board.read(address, 2).tolist() == [7, 8]
    board.write_register(16, address)
    assert board.read_register(16) == address
    board.close()
    assert made[0].calls == ["flush", "invalidate", "free"]


@pytest.mark.parametrize("address", [0x1004, 0xFFFFFFFF000])
def test_a_buffer_that_the_engine_cannot_reach_is_refused(address: int) -> None:
    def allocate(shape: tuple[int, ...], dtype: type) -> Cached:
        made = buffer(shape, dtype)
        made.physical_address = address
        return made

    with refused(DeviceError, "network engine", f"a buffer at {address:#x}"):
        PynqBoard(allocate, SimpleNamespace()).allocate(4)


def test_a_machine_without_a_board_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network, images = other_network(True), np.zeros((1, 16, 16, 3), np.uint8)
    path = str(tmp_path / "network.npz")
    write_fixed(Path(path), FixedFile(network, images, np.array([3]), {}))
    assert classify.main([path, "--arch", ARCH, "--bitstream", "engine.bit"]) == 2
    assert said("a bitstream without a board") in capsys.readouterr().err
    assert classify.main([path, "--arch", ARCH, "--images", "2"]) == 2
    assert said("more images than a network file holds") in capsys.readouterr().err


def test_a_bitstream_without_the_engine_names_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    overlay = SimpleNamespace(ip_dict={"dma_0": {}})
    fake = SimpleNamespace(Overlay=lambda name: overlay)
    monkeypatch.setattr("importlib.import_module", lambda name: fake)
    with pytest.raises(DeviceError, match=said("a bitstream without the engine")):
        open_board("other.bit", "network_top_0")


def test_maps_of_whole_words_compute_the_same() -> None:
    network = other_network(True)
    wide = network._replace(stages=widened(network.stages, 16))
    assert [len(stage.layer.bias) for stage in wide.stages] == [8, 32, 48, 64, 64]
    pixels = np.random.default_rng(3).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    one, other = run_twin(network, pixels, 16), run_twin(wide, pixels, 16)
    assert np.array_equal(one.logits, other.logits)
    assert not other.tensors["sps.2.out"][..., 40:].any()
    assert np.array_equal(one.tensors["sps.2.out"], other.tensors["sps.2.out"][..., :40])
