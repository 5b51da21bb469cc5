"""Does the page list each shipped network of a composed task with what its traces take today?"""

from __future__ import annotations

from experiments.task_networks import table
from tests.docs.pages import ROOT


def test_the_page_has_the_table_of_today() -> None:
    assert table() in (ROOT / "docs/tasks.md").read_text("utf-8")
