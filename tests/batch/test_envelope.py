"""What a manifest tells of the hardware that a receiver needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from batch.directory import Place
from batch.envelope import envelope, fitted
from batch.manifest import COLUMNS, Journal, close_journal
from model_side.base.errors import UsageError

MODEL = "sha256:1"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.hidden.mkdir()
    made.write_header({}, MODEL, "")
    return made


def record(place: Place, model: str = MODEL, **rows: tuple[int, float, int]) -> None:
    empty = {name: kind() for name, kind in COLUMNS.items()}
    journal = Journal(place.journal)
    for name, (size, seconds, memory) in rows.items():
        facts = {"input_bytes": size * 2**20, "seconds": seconds, "peak_memory": memory * 2**20}
        journal.append({**empty, "model": model, "input": name, "status": "done", **facts})
    journal.close()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_envelope_is_a_line_that_no_unit_is_above(place: Place, tmp_path: Path, form: str) -> None:
    record(place, a=(1, 2.0, 110), b=(2, 3.0, 120), c=(3, 4.0, 130), d=(4, 5.0, 140))
    record(place, "sha256:before", old=(1, 99.0, 990))
    close_journal(place.root, place.journal, form)
    package = tmp_path / "foo_mlflow_pkg"
    (package / "model").mkdir(parents=True)
    table = envelope(place, str(package / "model"))
    assert [line.split() for line in table[1:4]] == [
        ["1.00", "2.000", "110"],
        ["3.00", "4.000", "130"],
        ["4.00", "5.000", "140"],
    ]
    assert (package / "envelope.json").read_text() == (place.root / "envelope.json").read_text()
    document = json.loads((package / "envelope.json").read_text())
    assert (document["model"], document["table"][0]) == (MODEL, [1.0, pytest.approx(2), pytest.approx(110)])
    assert document["units"] == 4
    assert (document["seconds"]["slope"], document["MiB"]["slope"]) == (pytest.approx(1), pytest.approx(10))
    drawn = (place.root / "envelope.svg").read_text()
    assert (drawn.count("fill-opacity: 0.65"), "fill: #ffffff" in drawn, "input, MiB" in drawn) == (8, True, True)


def test_outlier_lifts_the_line() -> None:
    line = fitted([1, 2, 3, 4], [1, 9, 3, 4])
    assert line.at(2) == pytest.approx(9)


def test_too_few_units_are_refused(place: Place) -> None:
    record(place, a=(1, 2.0, 110))
    with pytest.raises(UsageError, match="too few units are done"):
        envelope(place, "models:/foo")
