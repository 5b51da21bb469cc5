"""Do the formal proofs of the RTL's queues hold, and do they fail for RTL that is wrong?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from experiments.proofs import (
    PROOFS,
    Proof,
    missing_sby,
    missing_tools,
    prove,
    prove_by_sby,
)
from simulator.errors import DeviceError
from simulator.hil.verilator import SOURCES
from tests.messages import refused

needs_yosys = pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "it is there")
needs_sby = pytest.mark.skipif(bool(missing_sby()), reason=missing_sby() or "it is there")

WRONG = {
    "fifo_proof": ("fifo.sv", "count <= count + 1'b1", "count <= count + (count != 2)"),
    "dispatcher_proof": ("pe_row.sv", "RESULT_WORDS = FIFO_WORDS + 2", "RESULT_WORDS = FIFO_WORDS"),
    "token_skip_proof": ("token_skip.sv", "group_live = group_live + 1'b1", "group_live = 1'b1"),
}


@needs_yosys
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.top)
def test_it_is_proved(proof: Proof) -> None:
    prove(proof)


@needs_yosys
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.top)
def test_wrong_rtl_is_found(proof: Proof, tmp_path: Path) -> None:
    break_rtl(proof, tmp_path)
    with refused(DeviceError, proof.top, "not proved"):
        prove(proof, tmp_path)


@needs_sby
def test_sby_proves_the_queue_and_finds_a_wrong_one(tmp_path: Path) -> None:
    assert prove_by_sby(PROOFS[0]) == "engine_0 (smtbmc yices) returned pass"
    break_rtl(PROOFS[0], tmp_path)
    with refused(DeviceError, PROOFS[0].top, "not proved"):
        prove_by_sby(PROOFS[0], tmp_path)


def test_sby_and_abc_look_as_far() -> None:
    for proof in PROOFS:
        text = (SOURCES / "proofs" / f"{proof.top}.sby").read_text()
        assert ("abc pdr" in text) == (proof.cycles == 0)
        assert not proof.cycles or f"depth {proof.cycles}\n" in text


def break_rtl(proof: Proof, folder: Path) -> None:
    """Copy a proof's RTL to a folder, with a fault."""
    name, right, wrong = WRONG[proof.top]
    for source in proof.sources:
        shutil.copy(SOURCES / source, folder / source)
    text = (SOURCES / name).read_text()
    assert right in text
    (folder / name).write_text(text.replace(right, wrong))
