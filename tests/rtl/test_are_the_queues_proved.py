"""Do the formal proofs of the RTL's queues hold, and do they fail for RTL that is wrong?"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from simulator.errors import DeviceError
from simulator.hil.proofs import PROOFS, SOURCES, Proof, missing_tools, prove

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "it is there")

WRONG = {
    "fifo_proof": ("fifo.sv", "count <= count + 1'b1", "count <= count + (count != 2)"),
    "dispatcher_proof": ("pe_row.sv", "RESULT_WORDS = FIFO_WORDS + 2", "RESULT_WORDS = FIFO_WORDS"),
    "token_skip_proof": ("token_skip.sv", "group_live = group_live + 1'b1", "group_live = 1'b1"),
}


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.top)
def test_it_is_proved(proof: Proof) -> None:
    prove(proof)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: proof.top)
def test_wrong_rtl_is_found(proof: Proof, tmp_path: Path) -> None:
    name, right, wrong = WRONG[proof.top]
    for source in proof.sources:
        shutil.copy(SOURCES / source, tmp_path / source)
    text = (SOURCES / name).read_text()
    assert right in text
    (tmp_path / name).write_text(text.replace(right, wrong))
    with pytest.raises(DeviceError, match="not proved"):
        prove(proof, tmp_path)
