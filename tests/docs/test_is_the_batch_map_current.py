"""Is the page of the batch map what its table says?"""

from __future__ import annotations

import pandas as pd

from experiments.batch_map import PAGE, TABLE, page


def test_the_page_is_made_from_its_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(pd.read_csv(TABLE))
