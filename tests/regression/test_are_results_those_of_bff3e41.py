"""Does one image alone give the cycles, counts and energy of commit bff3e41, to the bit?"""

from __future__ import annotations

import pytest

from tests.regression.replays import Row, reasons, recorded, today, unexplained

ROWS = recorded()
# Every machine on a halting and a plain trace; ImageNet and the rest by the script alone.
QUICK = [row for row in ROWS if row.trace in ("mnist", "cifar100_baseline") and row.image == 0]


@pytest.mark.parametrize("row", QUICK, ids=lambda row: row.name)
def test_one_image_alone_gives_what_it_gave(row: Row) -> None:
    ((before, now),) = today([row])
    assert not unexplained(before, now)


def test_every_reason_says_where_what_and_why() -> None:
    for entry in reasons():
        assert set(entry) == {"where", "differs", "why"}
        assert entry["why"].strip()
