"""A program that reaches an engine is sound; each broken rule names op, field, value and rule."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from simulator.engine.reference import simulate
from simulator.engine.replay import replay
from simulator.errors import LoweringError
from simulator.program import Program, validate
from tests.messages import cases, said
from tests.programs import ProgramBuilder, assert_same

pytestmark = pytest.mark.nojit


def small() -> Program:
    """Op 0 and op 1 on two units, a join of both, op 3 after the join."""
    builder = ProgramBuilder()
    units = [builder.add_unit("dram"), builder.add_unit("array")]
    ops = [builder.add_op(units[0], 4, latency=30), builder.add_op(units[1], 2)]
    builder.add_op(units[1], 1, after=[builder.add_join(ops)])
    return builder.build()


@cases("a_wrong_value_is_named")
def test_a_wrong_value_is_named(field: str, place: int, value: int, message: str) -> None:
    program = small()
    getattr(program, field)[place] = value
    for engine in (validate, replay, simulate):
        with pytest.raises(LoweringError, match="^" + re.escape(message)):
            engine(program)


COLUMNS: dict[str, Any] = {
    "floats": np.zeros(4),
    "wide": np.zeros(3, np.int64),
    "two axes": np.ones((4, 1), np.int64),
    "strided": np.zeros(8, np.int64)[::2],
    "short": np.ones(3, np.int64),
    "pointers": np.zeros(4, np.int64),
}


@cases("a_wrong_column_is_named")
def test_a_wrong_column_is_named(field: str, column: str, message: str) -> None:
    with pytest.raises(LoweringError, match="^" + re.escape(message)):
        replay(small()._replace(**{field: COLUMNS[column]}))


def test_the_last_total_that_fits_is_accepted() -> None:
    program = small()
    left = (1 << 62) - 1 - int(program.busy_cycles.sum() + program.latency_cycles.sum())
    program.latency_cycles[3] = left
    validate(program)
    program.latency_cycles[3] = left + 1
    with pytest.raises(LoweringError, match=said("cycles beyond 62 bits")):
        validate(program)


def test_columns_that_cannot_be_written_are_read() -> None:
    program = small()
    expected = replay(program)
    for column in program:
        column.setflags(write=False)
    assert_same(replay(program), expected, program)


def test_the_builder_writes_what_it_was_told() -> None:
    program = small()
    assert program.unit.tolist() == [0, 1, -1, 1]
    assert program.busy_cycles.tolist() == [4, 2, 0, 1]
    assert program.latency_cycles.tolist() == [30, 0, 0, 0]
    assert program.pred_ptr.tolist() == [0, 0, 0, 2, 3]
    assert program.pred.tolist() == [0, 1, 2]
    assert program.unit_servers.tolist() == [1, 1]
