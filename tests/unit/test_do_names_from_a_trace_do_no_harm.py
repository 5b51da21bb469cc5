"""Does a hostile name in a trace reach no spreadsheet, no terminal and no browser?"""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from simulator.run import main
from tests.factories import tiny_content

ARCH = str(Path(__file__).parents[2] / "arch_configs" / "sparse_pe.yaml")
NAMES = ["=cmd|'/c calc'!A1", "\x1b[31mred<script>alert(1)</script>"]


def test_names_of_images_are_neutralised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = tiny_content(images=2)
    content.manifest["dataset"]["image_ids"] = NAMES
    trace = content.write(tmp_path / "a.npz")
    out = tmp_path / "out"
    assert main(["--arch", ARCH, "--trace", str(trace), "--out", str(out)]) == 0
    told = capsys.readouterr()
    with (out / "images.csv").open(newline="", encoding="utf-8") as file:
        cells = [row["image_id"] for row in csv.DictReader(file)]
    assert cells == [f"'{NAMES[0]}", "\\x1b[31mred<script>alert(1)</script>"]
    for text in (told.out, told.err, *(each.read_text() for each in out.iterdir())):
        assert "\x1b" not in text
    assert "<script>alert(1)" not in (out / "page.html").read_text()
