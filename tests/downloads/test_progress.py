"""Progress for a terminal and for a log."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from downloads.bring import Settings
from downloads.progress import BARS_VARIABLE, Bar, RichProgress, progress_on
from downloads.session import run

from .conftest import QUICK, Model, sha256
from .server import Hostile, code, cut
from .test_records import FILES, fill_hub


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
    assert not isinstance(progress, RichProgress)


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


def test_bar_of_a_file_is_drawn_until_the_file_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    progress = progress_on(stream)
    with progress.shown() as bars:
        bar = progress.bar("model_data/d")
        bar.expect(3_000_000)
        each = bar.file("deep/w.bin")
        each.expect(2_000_000, 500_000)
        each.advance(1_000_000)
        bars.refresh()  # type: ignore[attr-defined]
        assert "1.5/3.0 MB" in stream.getvalue()
        assert "model_data/d/deep/w.bin" in stream.getvalue()
        assert "1.5/2.0 MB" in stream.getvalue()
        each.done("")
        stream.truncate(0)
        bars.refresh()  # type: ignore[attr-defined]
        assert "1.5/3.0 MB" in stream.getvalue()
        assert "deep/w.bin" not in stream.getvalue()


class Seen(Bar):
    """A bar, and the place where it is shown, that remember what they were told."""

    def __init__(self, name: str = "", above: Bar | None = None) -> None:
        super().__init__(name, above)
        self.totals: list[int] = []
        self.haves: list[int] = []
        self.files: dict[str, Seen] = {}
        self.ends: list[str] = []

    def begun(self) -> None:
        self.moved()

    def moved(self) -> None:
        self.totals.append(self.total)
        self.haves.append(self.have)

    def file(self, name: str) -> Bar:
        return self.files.setdefault(name, Seen(name, self))

    def done(self, what: str) -> None:
        self.ends.append(what)

    def bar(self, name: str) -> Bar:
        return self

    def say(self, line: str) -> None:
        """Do without."""

    def shown(self) -> AbstractContextManager[object]:
        return nullcontext()


def see(model: Model) -> Seen:
    """Download, and return what the bar of the only source was told."""
    seen = Seen()
    run(model.root, Settings(model.cache, tuning=QUICK), seen)  # type: ignore[arg-type]
    return seen


def test_directory_of_this_machine_has_a_total_and_is_told_while_it_comes(model: Model, tmp_path: Path) -> None:
    (tmp_path / "d" / "deep").mkdir(parents=True)
    (tmp_path / "d" / "w.bin").write_bytes(bytes(5 << 20))
    (tmp_path / "d" / "deep" / "v.bin").write_bytes(b"v")
    model.declare(f'uri = "{(tmp_path / "d").as_uri()}"\npath = "d"\nmutable = true')
    seen = see(model)
    size = (5 << 20) + 1
    assert set(seen.totals) == {size}
    assert seen.haves[0] == 0
    assert seen.haves[-1] == size
    assert len(seen.haves) > 3  # not only at the end of a file


@pytest.fixture
def directory(model: Model, hub: Hostile) -> Hostile:
    """Declare a directory of the Hub, of which one file breaks off; return the server."""
    fill_hub(hub)
    hub.put("/cdn/sub%20dir/w.bin", FILES["sub dir/w.bin"], cut(1000), code(404))
    text = "".join(f"{sha256(FILES[name])}  {name}\n" for name in sorted(FILES))
    model.declare(f'uri = "hf://owner/repo"\npath = "d"\nsha256 = "{sha256(text.encode())}"')
    return hub


def test_remote_directory_has_the_total_of_all_its_files_from_the_first_byte(model: Model, directory: Hostile) -> None:
    size = sum(len(content) for content in FILES.values())
    seen = see(model)
    assert seen.ends == ["failed"]
    assert set(seen.totals) == {size}
    fill_hub(directory)
    seen = see(model)
    assert set(seen.totals) == {size}
    assert seen.haves[0] in (2, 3)  # what the earlier run has completed, one small file or both
    assert seen.haves[-1] == size
    each = seen.files["sub dir/w.bin"]
    assert (each.totals[-1], each.haves[-1], each.ends) == (3500, 3500, [""])
    assert "config.json" not in seen.files


def test_log_says_once_what_an_earlier_run_has_completed(model: Model, directory: Hostile) -> None:
    assert "404" in model.error()
    fill_hub(directory)
    assert model.actions() == ["fetched"]
    said = model.said.getvalue()
    assert said.count("going on from") == said.count("model_data/d: going on from") == 1


def test_bars_are_drawn_into_the_file_from_which_somebody_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BARS_VARIABLE, str(tmp_path / "bars"))
    stream = io.StringIO()
    progress = progress_on(stream)
    with progress.shown():
        bar = progress.bar("model_data/w[1]")
        bar.expect(3_000_000)
        bar.advance(1_500_000)
        (line,) = (tmp_path / "bars").read_text().splitlines()
        bar.done("fetched")
    assert line.startswith("model_data/w[1] ━")
    assert "1.5/3.0 MB" in line
    assert len(line) <= 76
    assert stream.getvalue().startswith("model_data/w[1]: fetched, ")
