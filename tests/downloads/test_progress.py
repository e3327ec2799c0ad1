"""Progress for a terminal and for a log."""

from __future__ import annotations

import io

import pytest

from downloads.progress import PlainProgress, RichProgress, amount, progress_on


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_are_plain_when_there_is_no_terminal() -> None:
    stream = io.StringIO()
    progress = progress_on(stream)
    with progress.shown():
        bar = progress.bar("model_data/w")
        bar.expect(3000, 1000)
        bar.advance(2000)
        bar.done("fetched")
    first, last = stream.getvalue().splitlines()
    assert first == "model_data/w: going on from 1.0 kB"
    assert last.startswith("model_data/w: fetched, ")
    assert isinstance(progress, PlainProgress)


def test_bar_is_drawn_when_there_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = progress_on(stream)
    assert isinstance(progress, RichProgress)
    assert stream.getvalue() == ""
    with progress.shown() as bars:
        bar = progress.bar("model_data/w[1]")
        bar.expect(3_000_000, 0)
        bar.advance(1_500_000)
        progress.say("a line [not markup]")
        bars.refresh()  # type: ignore[attr-defined]
        bar.done("fetched")
    said = stream.getvalue()
    assert "model_data/w[1]" in said
    assert "a line [not markup]" in said
    assert "1.5/3.0 MB" in said


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2e15, "2000.0 TB")])
def test_amount_is_for_people(count: float, text: str) -> None:
    assert amount(count) == text
