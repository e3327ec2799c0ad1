"""What a later run takes over: the bytes, and how far they are hashed; and when it must not."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from downloads.declaration import read_declaration
from downloads.midstate import new_digest, taken_up
from downloads.part import Part

from .conftest import Model, sha256
from .server import Hostile, code, cut

MB = 1 << 20
WEIGHTS = random.Random(5).randbytes(9 * MB)
needs_library = pytest.mark.skipif(not taken_up("0" * 64, 64), reason="no library here lets a hash be put away")


@pytest.mark.parametrize("lasting", [True, False])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000])
def test_digest_is_that_of_hashlib(lasting: bool, count: int) -> None:
    digest = new_digest(lasting=lasting)
    for chunk in (WEIGHTS[:count], WEIGHTS[count : 3 * count]):
        digest.update(bytearray(chunk + b"not this"), len(chunk))
    assert digest.hexdigest() == sha256(WEIGHTS[: 3 * count])


@needs_library
@pytest.mark.parametrize("count", [0, 64, 6400, 8 * MB])
def test_digest_goes_on_where_it_was_put_away(count: int) -> None:
    first = new_digest(lasting=True)
    first.update(bytearray(WEIGHTS), count)
    second = taken_up(first.midstate(), count)
    assert second
    second.update(bytearray(WEIGHTS[count:]), len(WEIGHTS) - count)
    assert second.hexdigest() == sha256(WEIGHTS)


@needs_library
def test_digest_takes_up_a_count_of_bits_beyond_32_bits() -> None:
    # Of 2**32 zero bytes and then "abc"; the midstate is from `head -c 4294967296 /dev/zero`.
    state = "8ffe48e8fe68159506d4999ee2b1ac4c3e5b953cd5f8bb95e8082d4e8df5e99a"
    digest = taken_up(state, 1 << 32)
    assert digest
    digest.update(bytearray(b"abc"), 3)
    assert digest.hexdigest() == "493aa9f5af1e681d1bcc8db0c96a2ae4b5e6b3e51cefddb7efe24bdc7bdefa91"


def test_digest_cannot_be_put_away_inside_a_block() -> None:
    digest = new_digest(lasting=True)
    digest.update(bytearray(WEIGHTS), 65)
    assert digest.midstate() == ""
    assert taken_up("", 0) is None
    assert taken_up("0" * 64, 65) is None


def cut_off(model: Model, hostile: Hostile, *, pinned: bool = True) -> Path:
    """Have a download fail after 6 MB, and return what it has left."""
    url = hostile.put("/w.bin", WEIGHTS, cut(6 * MB), *[code(503)] * 4)
    held = f'sha256 = "{sha256(WEIGHTS)}"' if pinned else ""
    model.declare(f'uri = "{url}"\npath = "w.bin"\n{held}')
    assert "network" in model.error(lock=True)
    return model.data / "w.bin.part"


def look(part: Path, hostile: Hostile, *, pinned: bool = True) -> tuple[int, int]:
    """Return how many bytes a later run takes over, and how many of them it need not hash."""
    with Part(part, hostile.address + "/w.bin", pinned=pinned) as here:
        return here.have, here.hashed


@needs_library
@pytest.mark.parametrize("pinned", [True, False])
def test_next_run_hashes_only_what_was_not_when_the_network_was_cut(
    model: Model, hostile: Hostile, pinned: bool
) -> None:
    have, hashed = look(cut_off(model, hostile, pinned=pinned), hostile, pinned=pinned)
    assert have == 6 * MB
    assert hashed == 6 * MB


def touch(part: Path) -> None:
    os.utime(part, ns=(part.stat().st_atime_ns, part.stat().st_mtime_ns))


def note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def edit_note(**changes: object) -> Callable[[Path], None]:
    def edit(part: Path) -> None:
        note_of(part).write_text(json.dumps({**json.loads(note_of(part).read_text()), **changes}))

    return edit


CHANGES: dict[str, tuple[Callable[[Path], None], tuple[int, int], tuple[int, int]]] = {
    # what has happened since, and what is taken over: with a declared sha256, without
    "the file was touched": (touch, (6 * MB, 0), (0, 0)),
    "the file was written to": (lambda part: os.truncate(part, 7 * MB), (6 * MB, 0), (0, 0)),
    "the file was cut short": (lambda part: os.truncate(part, 5 * MB), (0, 0), (0, 0)),
    "the machine was booted": (edit_note(boot="another"), (6 * MB, 0), (0, 0)),
    "the run was killed": (edit_note(stamp=None, hashed=0, midstate=""), (6 * MB, 0), (6 * MB, 0)),
    "the note says more than is there": (edit_note(hashed=8 * MB), (6 * MB, 0), (6 * MB, 0)),
    "the midstate is none": (edit_note(midstate="zz" * 32), (0, 0), (0, 0)),
    "the count is none": (edit_note(hashed=-64), (0, 0), (0, 0)),
    "the note is of another schema": (edit_note(schema=1), (0, 0), (0, 0)),
    "the pieces overlap": (edit_note(pieces=[[0, 5, 9], [5, 5, 9 * MB]]), (0, 0), (0, 0)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_hash_is_not_gone_on_with_when_it_may_not_be_that_of_the_bytes(
    model: Model, hostile: Hostile, change: str
) -> None:
    happen, with_sha256, without = CHANGES[change]
    for pinned, taken in ((True, with_sha256), (False, without)):
        part = cut_off(model, hostile, pinned=pinned)
        happen(part)
        assert look(part, hostile, pinned=pinned) == taken
        part.unlink()


@pytest.mark.parametrize("harm", [True, False], ids=["harmed", "unharmed"])
def test_lock_records_the_sha256_of_the_right_bytes_when_it_was_cut_off(
    model: Model, hostile: Hostile, harm: bool
) -> None:
    part = cut_off(model, hostile, pinned=False)
    if harm:
        with part.open("r+b") as stream:
            stream.write(b"\0" * 1000)
    assert model.command_line("--lock").returncode == 0
    assert hostile.ranges("/w.bin")[-1] == ("" if harm else f"bytes={6 * MB}-")
    assert model.files() == {"w.bin": WEIGHTS}
    (source,) = read_declaration(model.root)
    assert source.sha256 == sha256(WEIGHTS)


def test_nothing_is_left_when_there_is_nothing_to_go_on_with(model: Model, hostile: Hostile) -> None:
    small, none = hostile.put("/small", WEIGHTS[:MB], cut(1000), *[code(503)] * 4), hostile.put("/none", b"", code(404))
    model.declare(*(f'uri = "{url}"\npath = "{n}"\nmutable = true' for n, url in enumerate((small, none))))
    assert [outcome.action for outcome in model.get()] == ["failed", "failed"]
    assert model.files() == {}
