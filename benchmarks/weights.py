"""What it costs to bring weights: against the plain programs that a person would use."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from file_server import FileServer, serving
from measuring import ENVIRONMENT, REPOSITORY, Figure, Run, alternate, ratio, settled, write_noise

BIG_BYTES, TINY_BYTES = 2_000_000_000, 1000
SMALL_FILES, SMALL_BYTES, SMALL_DIRECTORIES = 10_000, 4096, 100
DOWNLOAD = [sys.executable, str(REPOSITORY / "scripts" / "download_data.py"), "--package"]


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory; a third of the rounds is enough for what takes seconds."""
    rounds = max(3, rounds // 3)
    return [*big_file(place, rounds), *small_files(place, rounds)]


def fetch(package: Path, uri: str, sha256: str = "", cut: FileServer | None = None) -> Run:
    """Bring `uri` with neither data nor cache there; where its server is to `cut` it, measure only the run after that.

    What was brought before is removed right before the run that counts, which gets memory that was in use just now: a
    virtual machine gets other memory from its host first, ten times slower than it writes a file.
    """
    old = package.with_name("old")
    if package.exists():
        package.rename(old)
    package.mkdir(parents=True)
    pin = f'sha256 = "{sha256}"' if sha256 else "mutable = true"
    (package / "model_data.toml").write_text(f'[[source]]\nuri = "{uri}"\npath = "w"\n{pin}\n')
    environment = {**ENVIRONMENT, "MODEL_DATA_CACHE": str(package / "cache"), "NO_PROXY": "127.0.0.1"}
    command = [*DOWNLOAD, str(package)]
    if cut:
        cut.cut = True
        subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)
        cut.cut = False
    shutil.rmtree(old, ignore_errors=True)
    return settled(command, package, environment)


def big_file(place: Path, rounds: int) -> list[Figure]:
    """Measure the download of a big file: whole, and after a cut at 90 %."""
    source, tiny, package = place / "source", place / "tiny", place / "package"
    pins = write_noise(source, BIG_BYTES), write_noise(tiny, TINY_BYTES)
    with serving(source) as server, serving(tiny) as beside:
        plain = f"curl --silent --noproxy '*' -o copy {server.address} && sha256sum copy"
        # In this order, there are 2 GB to be removed before each of them.
        ways = {
            "whole": lambda: fetch(package, server.address, pins[0]),
            "rest": lambda: fetch(package, server.address, pins[0], cut=server),
            "start": lambda: fetch(package, beside.address, pins[1]),
            "plain": lambda: settled(["/bin/sh", "-c", plain], package),
        }
        return big_figures(alternate(ways, rounds))


def big_figures(runs: Mapping[str, Sequence[Run]]) -> list[Figure]:
    whole, rest, start, plain = runs.values()
    memory = max(each.memory for each in (*whole, *rest))
    shares = [
        (after.seconds - none.seconds) / (all_.seconds - none.seconds)
        for all_, after, none in zip(whole, rest, start, strict=True)
    ]
    how = "one server, with sendfile, for both; the hash included"
    without = f"both less what the program takes for a file of {TINY_BYTES} bytes"
    return [
        Figure("2 GB over loopback HTTP / `curl -o`, then sha256sum", ratio(whole, plain), "x", 1.2, how),
        Figure("its memory", memory / 1e6, "MB", 100.0, "the largest resident set, also of a resumed download"),
        Figure("the rest after a cut at 90 % / the whole", median(shares), "x", 0.35, without),
    ]


def small_files(place: Path, rounds: int) -> list[Figure]:
    """Measure a directory of many small files of this machine."""
    source, copy = place / "sources", place / "copy"
    for number in range(SMALL_FILES):
        path = source / f"d{number % SMALL_DIRECTORIES}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") * (SMALL_BYTES // 4))

    def plain() -> Run:
        shutil.rmtree(copy, ignore_errors=True)
        return settled(["cp", "-r", str(source), str(copy)], place)

    runs = alternate({"ours": lambda: fetch(place / "package", source.as_uri()), "plain": plain}, rounds)
    how = f"{SMALL_BYTES} bytes each, in {SMALL_DIRECTORIES} directories; the hashes and the record included"
    return [Figure("10,000 small files through file:// / `cp -r`", ratio(*runs.values()), "x", 3.0, how)]
