"""Does docs/validation.md hold what its command makes now?"""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import peers
from experiments.generated import replaced
from tests.messages import said

ROOT = Path(__file__).parents[2]
ORACLES = ROOT.parent / "shared" / "oracles"


@pytest.mark.skipif(
    not (ORACLES / "prosperity").is_dir(),
    reason="the figures of other simulators are not beside the project",
)
def test_every_section_is_as_made_now() -> None:
    text = (ROOT / "docs" / "validation.md").read_text("utf-8")
    path = Path("validation.md")
    for name, made in peers.made_sections(ORACLES).items():
        assert replaced(text, name, made, path) == text, name


def test_without_figures_it_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert peers.main(["--oracles", str(tmp_path)]) == 2
    assert said("a folder without a peer's figures") in capsys.readouterr().err


def test_a_page_without_markers_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text("no markers")
    monkeypatch.setattr(peers, "made_sections", lambda oracles: {"scalesim": "a table"})
    assert peers.main(["--oracles", str(tmp_path), "--write", str(page)]) == 2
    assert said("a page without its marks") in capsys.readouterr().err
    assert page.read_text() == "no markers"
