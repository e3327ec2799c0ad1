"""What a later run takes over of an unfinished download, and when it must not."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from downloads.blocks import Part
from downloads.declaration import read_declaration
from downloads.http import http_file
from downloads.progress import Bar
from downloads.transfer import fetch

from .conftest import QUICK, Model, sha256
from .server import Hostile, code, cut

MB = 1 << 20
WEIGHTS = random.Random(5).randbytes(9 * MB + 100)


def cut_off(model: Model, hostile: Hostile, *, pinned: bool = True) -> Path:
    """Have a download fail after some more than 6 MB, and return what it has left."""
    url = hostile.put("/w.bin", WEIGHTS, cut(6 * MB + 1000), *[code(503)] * 4)
    held = f'sha256 = "{sha256(WEIGHTS)}"' if pinned else ""
    model.declare(f'uri = "{url}"\npath = "w.bin"\n{held}')
    assert "network" in model.error(lock=True)
    (part,) = model.data.glob(".downloads/*/part")
    return part


def edit_note(**changes: object) -> Callable[[Path], None]:
    def edit(part: Path) -> None:
        note = part.with_name("part.note")
        head, _, lines = note.read_text().partition("\n")
        note.write_text(json.dumps({**json.loads(head), **changes}) + "\n" + lines)

    return edit


def append(text: str) -> Callable[[Path], None]:
    def edit(part: Path) -> None:
        with part.with_name("part.note").open("a") as note:
            note.write(text)

    return edit


def damage(content: bytes) -> Callable[[Path], object]:
    return lambda part: part.with_name("part.note").write_bytes(content)


CHANGES: dict[str, tuple[Callable[[Path], object], set[int]]] = {
    # what has happened since, and which blocks are taken over
    "nothing": (lambda part: None, set(range(6))),
    "the last line of the note was cut short": (append("8"), set(range(6))),
    "the file was cut short": (lambda part: os.truncate(part, 4 * MB + 1), set(range(4))),
    "the note counts a block that cannot be": (append("99\n-1\n"), set(range(6))),
    "the note holds no number": (append("x\n"), set()),
    "the note is empty": (damage(b""), set()),
    "the note is not JSON": (damage(b"\xff{"), set()),
    "the note is not an object": (damage(b"[]\n"), set()),
    "the note is of another schema": (edit_note(schema=2), set()),
    "the note is of blocks of another size": (edit_note(block=4 * MB), set()),
    "the note is of something else": (edit_note(of="0"), set()),
    "the note lacks a fact": (edit_note(total="?"), set()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_only_blocks_that_are_here_are_taken_over(model: Model, hostile: Hostile, change: str) -> None:
    happen, blocks = CHANGES[change]
    part = cut_off(model, hostile)
    happen(part)
    with Part(part, hostile.address + "/w.bin", MB, pinned=True) as here:
        assert here.whole == blocks


def test_blocks_without_sha256_are_taken_over_only_where_a_change_would_show(model: Model, hostile: Hostile) -> None:
    hostile.etags = False
    url = hostile.put("/w.bin", WEIGHTS, cut(6 * MB), *[code(503)] * 4)
    model.declare(f'uri = "{url}"\npath = "w.bin"\nmutable = true')
    assert "network" in model.error()
    assert model.actions() == ["fetched"]
    assert hostile.ranges("/w.bin")[-1] == ""


def test_lock_records_the_right_sha256_when_it_was_cut_off(model: Model, hostile: Hostile) -> None:
    cut_off(model, hostile, pinned=False)
    assert model.actions(lock=True) == ["fetched"]
    assert hostile.ranges("/w.bin")[-1] == f"bytes={6 * MB}-"
    assert model.command_line("--lock").returncode == 0
    assert model.files() == {"w.bin": WEIGHTS}
    (source,) = read_declaration(model.root)
    assert source.sha256 == sha256(WEIGHTS)


def test_blocks_that_were_missing_in_the_middle_are_fetched(model: Model, hostile: Hostile) -> None:
    part = cut_off(model, hostile)
    head, *_ = part.with_name("part.note").read_text().split("\n")
    part.with_name("part.note").write_text("\n".join([head, "0", "3", "4", ""]))
    assert model.actions() == ["fetched"]
    assert hostile.ranges("/w.bin")[-2:] == [f"bytes={MB}-{3 * MB - 1}", f"bytes={5 * MB}-"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_file_that_was_whole_when_its_run_was_killed_is_not_fetched_again(hostile: Hostile, tmp_path: Path) -> None:
    origin = http_file(hostile.put("/w.bin", WEIGHTS))
    for resumed in (False, True):
        fact, was_resumed = fetch(origin, tmp_path / "part", QUICK, Bar("w"), pinned=True)
        assert (fact.sha256, was_resumed) == (sha256(WEIGHTS), resumed)
    assert len(hostile.asked) == 1


def test_nothing_is_left_when_there_is_nothing_to_go_on_with(model: Model, hostile: Hostile) -> None:
    small, none = hostile.put("/small", WEIGHTS[:MB], cut(1000), *[code(503)] * 4), hostile.put("/none", b"", code(404))
    model.declare(*(f'uri = "{url}"\npath = "{n}"\nmutable = true' for n, url in enumerate((small, none))))
    assert [outcome.action for outcome in model.get(QUICK)] == ["failed", "failed"]
    assert (model.files(), model.desk()) == ({}, {})
