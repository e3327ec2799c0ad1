"""Transfers from a server that is as bad as the real ones."""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import QUICK, Model, sha256
from .server import (
    Answer,
    Fault,
    Hostile,
    code,
    cut,
    cut_then_swap,
    hang_up,
    lie,
    redirect,
    throttled,
    whole,
)

MB = 1 << 20
WEIGHTS = random.Random(1).randbytes(9 * MB)
OTHER = random.Random(2).randbytes(9 * MB)
SHORTER = OTHER[: 2 * MB]


def want(model: Model, hostile: Hostile, *faults: Fault, content: bytes = WEIGHTS, pin: str = "") -> None:
    """Declare a file at the hostile server, whose next answers are `faults`."""
    url = hostile.put("/w.bin", content, *faults)
    model.declare(f'uri = "{url}"\npath = "w.bin"\nsha256 = "{pin or sha256(content)}"')


RECOVERABLE: dict[str, list[Fault]] = {
    "the connection drops": [cut(3 * MB)],
    "the connection drops again and again": [cut(MB)] * 7,
    "the connection drops before a byte": [cut(0), cut(0)],
    "the connection closes without a word": [hang_up, hang_up],
    "the length is too great": [lie(len(WEIGHTS) + 5)],
    "the range is ignored": [cut(5 * MB), whole],
    "the range is ignored and cut": [cut(5 * MB), lambda answer: answer.serve(ranges=False, sent=MB)],
    "too many requests": [code(429, Retry_After="0"), code(429)],
    "the service is unavailable": [code(503), code(503), code(502)],
    "the range is not satisfiable": [cut(5 * MB), code(416)],
    "the service is unavailable in the middle": [cut(2 * MB), code(503), code(429), cut(2 * MB)],
}


@pytest.mark.parametrize("etags", [True, False], ids=["etag", "no-etag"])
@pytest.mark.parametrize("trouble", RECOVERABLE)
def test_bytes_are_right_when_trouble_passes(model: Model, hostile: Hostile, trouble: str, etags: bool) -> None:
    hostile.etags = etags
    want(model, hostile, *RECOVERABLE[trouble])
    assert model.actions() == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}
    assert not hostile.faults["/w.bin"]


def test_transfer_goes_on_from_where_it_was_cut(model: Model, hostile: Hostile) -> None:
    want(model, hostile, cut(3 * MB), cut(2 * MB))
    assert model.actions() == ["fetched"]
    assert hostile.ranges("/w.bin") == ["", f"bytes={3 * MB}-", f"bytes={5 * MB}-"]
    assert hostile.asked[1].if_range.startswith('"')


def test_wrong_bytes_are_not_installed_when_the_length_is_too_small(model: Model, hostile: Hostile) -> None:
    want(model, hostile, lie(len(WEIGHTS) - 5))
    assert f"expected {sha256(WEIGHTS)}, got {sha256(WEIGHTS[:-5])}" in model.error()
    assert (model.files(), model.desk()) == ({}, {"bad/w.bin": WEIGHTS[:-5]})


@pytest.mark.parametrize("etags", [True, False], ids=["etag", "no-etag"])
@pytest.mark.parametrize("after", [OTHER, SHORTER], ids=["same-size", "shorter"])
def test_transfer_starts_over_when_the_file_changes_in_between(
    model: Model, hostile: Hostile, after: bytes, etags: bool
) -> None:
    hostile.etags = etags
    want(model, hostile, cut_then_swap(after, 3 * MB), pin=sha256(after))
    if etags or after is SHORTER:
        assert model.actions() == ["fetched"]
        assert model.files() == {"w.bin": after}
    else:  # Nothing tells the two apart but the hash.
        assert "wrong sha256" in model.error()
        assert "w.bin" not in model.files()


def test_transfer_gives_up_when_the_file_changes_at_every_answer(model: Model, hostile: Hostile) -> None:
    contents = [random.Random(n).randbytes(MB) for n in range(9)]
    want(model, hostile, *(cut_then_swap(content, 1000) for content in contents))
    assert "it could not be continued: it changes" in model.error()
    assert "w.bin" not in model.files()


def test_redirect_is_an_error_when_it_leads_in_circles(model: Model, hostile: Hostile) -> None:
    want(model, hostile, *[redirect("/w.bin")] * 40)
    assert "redirects in circles" in model.error()


@pytest.mark.parametrize(("number", "word"), [(404, "Check the address"), (403, "licence"), (401, "netrc")])
def test_refusal_is_not_tried_again(model: Model, hostile: Hostile, number: int, word: str) -> None:
    want(model, hostile, code(number))
    error = model.error()
    assert f"the server answered {number}" in error
    assert word in error
    assert len(hostile.asked) == 1


def test_next_run_goes_on_when_this_one_gave_up(model: Model, hostile: Hostile) -> None:
    want(model, hostile, cut(6 * MB), *[code(503)] * 4)
    error = model.error()
    assert "network: the server answered 503" in error
    assert "run it again; it goes on from there where its server can" in error
    assert (model.files(), set(model.desk())) == ({}, {"part", "part.note"})
    assert model.actions() == ["fetched"]
    assert hostile.ranges("/w.bin")[-1] == f"bytes={6 * MB}-"
    assert (model.files(), model.desk()) == ({"w.bin": WEIGHTS}, {})


@pytest.mark.parametrize("after", [OTHER, SHORTER], ids=["same-size", "shorter"])
def test_next_run_starts_over_when_the_file_changed_meanwhile(model: Model, hostile: Hostile, after: bytes) -> None:
    want(model, hostile, cut(6 * MB), *[code(503)] * 4)
    assert "network" in model.error()
    want(model, hostile, content=after)
    assert model.actions() == ["fetched"]
    assert model.files() == {"w.bin": after}


def test_bytes_of_an_earlier_run_get_one_more_chance_when_the_disk_lost_them(model: Model, hostile: Hostile) -> None:
    want(model, hostile, cut(6 * MB), *[code(503)] * 4)
    assert "network" in model.error()
    with place_on_desk(model, "part").open("r+b") as part:
        part.seek(MB)
        part.write(b"\0" * 1000)
    assert model.actions() == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}


def place_on_desk(model: Model, name: str) -> Path:
    (path,) = model.data.glob(f".downloads/*/{name}")
    return path


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_network_is_named_when_nobody_listens(model: Model, scheme: str) -> None:
    model.declare(f'uri = "{scheme}://127.0.0.1:9/w"\npath = "w.bin"\nsha256 = "{"a" * 64}"')
    assert "network: " in model.error()


def test_several_connections_are_used_when_a_file_has_many_blocks(model: Model, hostile: Hostile) -> None:
    gate = threading.Event()

    def open_the_gate(answer: Answer) -> None:
        gate.set()
        answer.serve()

    want(model, hostile, throttled(gate, MB), open_the_gate)
    assert model.actions(tuning=replace(QUICK, connections=4)) == ["fetched"]
    assert gate.is_set()
    blocks = [f"bytes={n * MB}-{(n + 1) * MB - 1}" for n in range(1, 8)]
    assert sorted(hostile.ranges("/w.bin")) == ["", *blocks, f"bytes={8 * MB}-"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_ranges_are_right_when_each_of_them_is_cut(model: Model, hostile: Hostile) -> None:
    gate = threading.Event()

    def open_the_gate(answer: Answer) -> None:
        gate.set()
        answer.serve(sent=1000)

    want(model, hostile, throttled(gate, MB), open_the_gate, *[cut(MB)] * 3, code(503))
    assert model.actions(tuning=replace(QUICK, connections=4, block=MB // 4)) == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_file_comes_over_one_connection_when_its_server_allows_no_more(model: Model, hostile: Hostile) -> None:
    first, refused = threading.Event(), []

    def wait_for_the_others(answer: Answer) -> None:
        answer.serve(sent=MB // 2, then=lambda: first.wait(20))

    def refuse(answer: Answer) -> None:
        refused.append(answer)
        answer.refuse(503)
        if len(refused) == 3 * QUICK.attempts:
            first.set()

    want(model, hostile, wait_for_the_others, *[refuse] * 3 * QUICK.attempts)
    assert model.actions(tuning=replace(QUICK, connections=4)) == ["fetched"]
    assert model.files() == {"w.bin": WEIGHTS}


def test_several_files_are_fetched_at_once(model: Model, hostile: Hostile) -> None:
    together = threading.Barrier(3)

    def wait_for_the_others(answer: Answer) -> None:
        together.wait(20)
        answer.serve()

    urls = [hostile.put(f"/{n}", WEIGHTS[:1000], wait_for_the_others) for n in range(3)]
    model.declare(*(f'uri = "{u}"\npath = "{n}"\nsha256 = "{sha256(WEIGHTS[:1000])}"' for n, u in enumerate(urls)))
    assert model.actions() == ["fetched"] * 3


def test_it_is_not_said_to_go_on_when_the_server_sends_everything_again(model: Model, hostile: Hostile) -> None:
    content = b"w" * (3 * MB)
    for answers, goes_on in (([whole], False), ([], True)):
        url = hostile.put("/w", content, cut(2 * MB), *[code(503)] * 4)
        model.declare(f'uri = "{url}"\npath = "w"\nsha256 = "{sha256(content)}"')
        assert "kept: run it again; it goes on from there where its server can" in model.error()
        hostile.put("/w", content, *answers)
        assert model.actions() == ["fetched"]
        assert ("going on from 2.1 MB" in model.said.getvalue()) is goes_on
        (model.data / "w").unlink()
        shutil.rmtree(model.cache)


def test_source_that_fails_does_not_keep_others_from_being_brought(model: Model, hostile: Hostile) -> None:
    good, bad = hostile.put("/good", b"good"), hostile.put("/bad", b"bad", code(404))
    pins = sha256(b"good"), sha256(b"bad")
    model.declare(
        f'uri = "{bad}"\npath = "bad"\nsha256 = "{pins[1]}"', f'uri = "{good}"\npath = "good"\nsha256 = "{pins[0]}"'
    )
    assert [outcome.action for outcome in model.get()] == ["failed", "fetched"]
    assert [outcome.action for outcome in model.get()] == ["fetched", "present"]


STAND_INS = {
    "an empty file": b"",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
    "an HTML page": b"<!doctype html><title>Not here</title>",
    "cut off": b"PK\x03\x04 and no end",
}


@pytest.mark.parametrize("pin", ["right", "wrong", "none"])
@pytest.mark.parametrize(("said", "content"), STAND_INS.items())
def test_stand_in_for_a_file_is_not_installed_whatever_its_sha256(
    model: Model, hostile: Hostile, said: str, content: bytes, pin: str
) -> None:
    sha = f'\nsha256 = "{sha256(content) if pin == "right" else "a" * 64}"' if pin != "none" else ""
    model.declare(f'uri = "{hostile.put("/w", content)}"\npath = "w.bin"{sha}')
    for _ in range(2):
        error = model.error(lock=True)
        assert error.startswith(f"model_data/w.bin: {said}")
        assert "/w, was not installed, and is kept as model_data/.downloads/" in error
        assert (model.files(), model.desk()) == ({}, {"bad/w.bin": content})


def test_stand_in_among_the_members_of_a_directory_is_told(model: Model, tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    for name, content in {
        "__init__.py": b"",
        "w.npz": STAND_INS["cut off"],
        "v.bin": STAND_INS["an HTML page"],
    }.items():
        (tmp_path / "from" / name).write_bytes(content)
    model.declare(f'uri = "{(tmp_path / "from").as_uri()}"\npath = "to"\nmutable = true')
    assert model.actions() == ["fetched"]
    warnings = [line for line in model.said.getvalue().splitlines() if line.startswith("warning: model_data/to/")]
    assert [line.split(": ")[1:3] for line in warnings] == [
        ["model_data/to/v.bin", "an HTML page, not the file"],
        ["model_data/to/w.npz", "cut off"],
    ]


def test_user_and_password_come_from_netrc(model: Model, hostile: Hostile, netrc: Path) -> None:
    want(model, hostile, content=b"w")
    assert model.actions() == ["fetched"]
    assert hostile.asked[0].headers["authorization"].startswith("Basic ")


def test_second_download_waits_for_the_first(model: Model, hostile: Hostile) -> None:
    second: list[subprocess.Popen[str]] = []

    def start_another(answer: Answer) -> None:
        second.append(subprocess.Popen(model.command, stderr=subprocess.PIPE, text=True))
        assert second[0].stderr
        assert "waiting for another download of it" in second[0].stderr.readline()
        answer.serve()

    want(model, hostile, start_another)
    assert model.actions() == ["fetched"]
    said = second[0].communicate(timeout=20)[1]
    assert (second[0].returncode, said) == (0, "")
    assert len(hostile.asked) == 1
