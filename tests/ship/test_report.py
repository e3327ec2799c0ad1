"""The report says what a receiver asks, in one file that needs nothing else."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from make_report import main
from PIL import Image

from model_side.verify.checks import TRIED
from ship.facts import read_facts
from ship.picture import MOST_ROWS, pictures
from ship.report import page
from ship.words import CHECKS, ROUTES

from .verified_package import verified_package

SECTIONS = [
    *("Signature", "How to call it", "Output", "Ways of running it", "Checks"),
    *("Chain", "Environment", "Files"),
]


class Page(HTMLParser):
    """What a page holds: its regions by their headings, landmarks, ids, cells, and what it would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.regions: list[str] = []
        self.landmarks: list[str] = []
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.cells: list[str] = []
        self._labelled_by = self._tag = self._id = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self._tag, self._id = tag, given.get("id", "")
        self.ids += [self._id] if self._id else []
        self.landmarks += [tag] if tag in ("header", "main", "footer") else []
        self.fetched += [given[name] for name in ("src", "href") if given.get(name, "data:,") != "data:,"]
        if tag == "section":
            self._labelled_by = given["aria-labelledby"]

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "h2" and self._id == self._labelled_by:
            self.regions.append(data)
        elif self._tag in ("td", "th", "code"):
            self.cells.append(data)


def report_of(package: Path) -> str:
    return page(read_facts(package))


def test_report_has_every_section_once_and_fetches_nothing(tmp_path: Path) -> None:
    about = {
        "description": "Embeds <tiny> cells.",
        "intended_use": "A first look.",
        "license": "MIT",
        "citation": "Doe",
    }
    text = report_of(verified_package(tmp_path, about=about))
    found = Page(text)
    assert found.regions == SECTIONS
    assert found.landmarks == ["header", "main", "footer"]
    assert found.fetched == []
    assert sorted(set(found.ids)) == sorted(found.ids)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text) < 1e6
    assert all(each in text for each in ("Embeds &lt;tiny&gt; cells.", "A first look.", "Licence: MIT", "Cite: Doe"))


def test_report_tells_signature_routes_checks_environment_and_files(tmp_path: Path) -> None:
    package = verified_package(tmp_path)
    facts, text = read_facts(package), report_of(package)
    cells = Page(text).cells
    assert {"count", "double", "required", "scale", "default 1.0", "float32 tensor (-1, 2)"} <= set(cells)
    assert {"direct", "in-process", "served", "rest", "golden", "agrees", "2 MB", "0.10"} <= set(cells)
    assert {"hermetic", "passed", "rows", "off"} <= set(cells)
    assert "it ranks &lt;rows&gt;" in text
    assert "the author&#39;s code, without MLflow around it; it needs the package" in text
    assert {"numpy", "BSD-3-Clause", "old_thing", "MIT License"} <= set(cells)
    assert {facts.digest, *(entry["sha256"] for entry in facts.manifest["files"].values())} <= set(cells)
    assert "4 ways of running it give the same answer; 1 check passed; 1 was off or not applicable." in text


def test_report_states_the_environment_variables_that_a_receiver_sets(tmp_path: Path) -> None:
    text = report_of(verified_package(tmp_path, variables=["REF_SCALE", "LICENCE_FILE"]))
    assert "Set these environment variables: <code>REF_SCALE</code>, <code>LICENCE_FILE</code>." in text
    assert "environment variables" not in report_of(verified_package(tmp_path / "bare"))


def test_report_tells_the_hardware_that_a_batch_of_this_very_model_needed(tmp_path: Path) -> None:
    package = verified_package(tmp_path)
    envelope = {"model": read_facts(package).digest, "units": 1200, "table": [[0.5, 1.25, 300.0], [2.0, 3.5, 1400.0]]}
    (package / "envelope.json").write_text(json.dumps(envelope))
    found = Page(report_of(package))
    assert "Hardware that it needs" in found.regions
    assert {"0.50", "1.250", "300", "1,400"} <= set(found.cells)
    (package / "envelope.json").write_text(json.dumps({**envelope, "model": "sha256:another"}))
    assert Page(report_of(package)).regions == SECTIONS


def test_every_check_and_every_way_has_words_for_a_receiver() -> None:
    assert list(CHECKS) == ["hermetic", "portable", *TRIED]
    assert list(ROUTES) == ["direct", "in-process", "served", "rest", "golden"]


def test_same_facts_give_the_same_report(tmp_path: Path) -> None:
    package = verified_package(tmp_path)
    assert report_of(package) == report_of(package)


def test_command_line_writes_no_report_of_a_package_that_is_not_verified(tmp_path: Path) -> None:
    package, target = verified_package(tmp_path), tmp_path / "report.html"
    assert main(["--package", str(package), "--output-path", str(target)]) == 0
    assert target.read_text() == report_of(package)


ROWS = [[n / 10, n % 7, 1.0] for n in range(2100)]
POINT, MARK, IMAGE = "fill-opacity: 0.65", "clip-path=", "<image"  # beside a heat map, its scale is one, too
SHOWN: dict[str, tuple[Any, str, str, int]] = {
    "points": (ROWS[:60], "The first two of 3 columns, a point for each of 60 rows.", POINT, 60),
    "many": (ROWS, "2100 rows; one in 2 rows drawn.", POINT, 1050),
    "incomplete": ([*ROWS[:60], [None, 1.0, 1.0]], "1 with a missing number are left out.", POINT, 60),
    "long rows": ([[n % 5 for n in range(64)]] * 2, "A curve for each of 2 rows, over 64 columns.", MARK, 2),
    "a gap": ([[None if n == 9 else n for n in range(64)]], "A curve for each of 1 row, over 64 columns.", MARK, 1),
    "a small matrix": ([[1, 2], [3, None]], "All values of 2 rows and 2 columns.", IMAGE, 2),
    "one value": ([[2.0, 2.0]] * 3, "All values of 3 rows and 2 columns.", IMAGE, 2),
    "volumes": ([[[1, 2], [3, 4]]] * 5, "2 rows and 2 columns; the first of 5 matrices.", IMAGE, 2),
    "a vector": ([1.0, 2.0, None], " among 3; 1 that are not numbers are left out.", MARK, 5),
    "a column": ([[1.0], [2.0]], "How often each value occurs among 2.", MARK, 5),
    "equal but for rounding": ([1.0, 1.0 + 2**-52] * 9, "How often each value occurs among 18.", MARK, 1),
    "equal": ([5.0, 5.0], "How often each value occurs among 2.", MARK, 1),
    "close to zero": ([5e-324, 0.0], "How often each value occurs among 2.", MARK, 1),
    "nearly too large": ([[1e299, -1e299]] * 60, "a point for each of 60 rows.", POINT, 60),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_picture_draws_and_says_what_it_leaves_out_of(kind: str) -> None:
    answer, caption, mark, count = SHOWN[kind]
    (drawn,) = pictures(answer)
    assert drawn.caption.endswith(caption)
    assert drawn.svg.count(mark) == count
    assert not re.search(r"\b(nan|inf)\b", drawn.svg)
    ids = re.findall(r'(?<=id=")[^"]*', drawn.svg + pictures([[1.0, 2.0]] * 9)[0].svg)
    assert sorted(set(ids)) == sorted(ids)


def test_picture_has_the_colours_of_the_page_whatever_matplotlib_is_set_to(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = pictures(ROWS)
    assert {"fill: var(--data)", "stroke: var(--ink)"} <= set(re.findall(r"(?:fill|stroke): var[^;\"]*", drawn[0].svg))
    assert not re.search(r"fill: (#fff|white)|font-family", drawn[0].svg)
    monkeypatch.setitem(mpl.rcParams, "axes.linewidth", 9.0)
    monkeypatch.setitem(mpl.rcParams, "font.size", 30)
    assert pictures(ROWS) == drawn
    assert mpl.rcParams["font.size"] == 30


def test_cell_of_a_missing_number_is_left_out_and_the_others_are_not() -> None:
    (drawn,) = pictures([[1, 2], [3, None]])
    image, _ = re.findall(r"data:image/png;base64,([^\"]*)", drawn.svg)
    assert Image.open(BytesIO(b64decode(image))).getchannel("A").tobytes() == b"\xff\xff\xff\x00"


TABLES: dict[str, tuple[Any, str, list[str]]] = {
    "records": ([{"a": 1.23456789, "b": "<x>"}] * 30, f"30 rows, the first {MOST_ROWS} shown", ["1.23457", "<x>"]),
    "texts": (["one", "two"], "2 rows", ["one"]),
    "one number": ([3], "1 row", ["3"]),
    "nothing": ([], "0 rows", []),
    "all missing": ([[None, None]], "1 row", ["[None, None]"]),
    "too large": ([[1e308, -1e308]] * 9, "9 rows", ["[1e+308, -1e+308]"]),
    "ragged": ([[1], [1, 2]], "2 rows", ["[1]"]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_picture_is_a_table_where_there_is_nothing_to_draw(kind: str) -> None:
    answer, caption, first = TABLES[kind]
    (drawn,) = pictures(answer)
    assert (drawn.caption, drawn.svg) == (caption, "")
    assert list(drawn.rows[0] if drawn.rows else []) == first


def test_each_part_of_an_output_has_its_own_picture_up_to_four(tmp_path: Path) -> None:
    drawn = pictures({str(n): [1.0, 2.0] for n in range(6)})
    assert [each.caption.rpartition("; ")[2] for each in drawn[:4]] == ["0.", "1.", "2.", "3."]
    assert drawn[4].caption == "2 more parts of the output are not shown."
    outputs = [{"type": "double", "name": "a"}]
    text = report_of(verified_package(tmp_path, [{"a": 1.5}, {"a": 2.5}], outputs))
    assert "<td>2.5</td>" in text
    assert "[[1.0], [2.0], [3.0]]" in text
