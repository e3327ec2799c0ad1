"""What it costs to bring weights: against the plain programs that a person would use."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.request import urlopen

from measuring import ENVIRONMENT, REPOSITORY, Figure, Run, ratio, run

BIG_BYTES, TINY_BYTES = 2_000_000_000, 1000
SMALL_FILES, SMALL_BYTES, SMALL_DIRECTORIES = 10_000, 4096, 100
DOWNLOAD = [sys.executable, str(REPOSITORY / "scripts" / "download_data.py"), "--package"]
SERVER = Path(__file__).with_name("file_server.py")


def measure(place: Path, rounds: int) -> list[Figure]:
    """Measure in `place`, an empty directory; a third of the rounds is enough for what takes seconds."""
    rounds = max(3, rounds // 3)
    return [*big_file(place / "big", rounds), *small_files(place / "small", rounds)]


class Package:
    """A package with one source, which is brought anew each time.

    Parameters
    ----------
    root : Path
        It must not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root, self._cache = root, root.with_name(f"{root.name}_cache")
        root.mkdir(parents=True)

    def fetch(self, uri: str, sha256: str, *, cut: bool = False) -> Run:
        """Bring `uri` with neither data nor cache there; where it is `cut`, measure only the run after that."""
        old = self._put_aside()
        pin = f'sha256 = "{sha256}"' if sha256 else "mutable = true"
        (self.root / "model_data.toml").write_text(f'[[source]]\nuri = "{uri}"\npath = "w"\n{pin}\n')
        environment = {**ENVIRONMENT, "MODEL_DATA_CACHE": str(self._cache), "NO_PROXY": "127.0.0.1"}
        command = [*DOWNLOAD, str(self.root)]
        if cut:
            subprocess.run(command, env=environment, stderr=subprocess.DEVNULL, check=False)
            with suppress(HTTPError):
                urlopen(uri.replace("/cut/", "/heal/")).close()
        shutil.rmtree(old)
        return settled(command, self.root, environment)

    def _put_aside(self) -> Path:
        """Move away what was brought before, and return where it is.

        It is removed right before each run that counts, so that each gets memory that was in use just now: a virtual
        machine gets other memory from its host first, ten times slower than it writes a file.
        """
        old = self.root.with_name(f"{self.root.name}_old")
        old.mkdir()
        for directory in (self.root / "model_data", self._cache):
            if directory.exists():
                directory.rename(old / directory.name)
        return old


@contextmanager
def serving(file: Path) -> Iterator[str]:
    """Serve a file, in a process of its own; yield where."""
    with subprocess.Popen([sys.executable, str(SERVER), str(file)], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip() if server.stdout else ''}"
        finally:
            server.kill()


class Round(NamedTuple):
    """What one round took: our whole download and the plain one; the rest after a cut; a file of next to nothing."""

    whole: Run
    plain: Run
    rest: Run
    start: Run

    @property
    def share(self) -> float:
        """Return what the rest took of the whole, both without what the program takes for any file."""
        return (self.rest.seconds - self.start.seconds) / (self.whole.seconds - self.start.seconds)


def big_file(place: Path, rounds: int) -> list[Figure]:
    """Measure the download of a big file: whole, and after a cut at 90 %."""
    place.mkdir()
    source, tiny, package = place / "source", place / "tiny", Package(place / "package")
    copy = package.root / "model_data" / "copy"  # there, it is put aside with the rest
    pins = write_noise(source, BIG_BYTES), write_noise(tiny, TINY_BYTES)
    program, fetching = plain_download(copy)
    taken = []
    with serving(source) as address, serving(tiny) as beside:
        for number in range(rounds + 1):
            # In this order, there are 2 GB to be removed before each of them.
            whole = package.fetch(f"{address}/w", pins[0])
            rest = package.fetch(f"{address}/cut/{number}", pins[0], cut=True)
            start = package.fetch(f"{beside}/w", pins[1])
            plain = one_after_the_other([*fetching, f"{address}/w"], ["sha256sum", str(copy)], place)
            taken.append(Round(whole, plain, rest, start))
    return big_figures(taken[1:], program)  # the first does not count


def big_figures(taken: Sequence[Round], program: str) -> list[Figure]:
    whole, plain, rest, _ = zip(*taken, strict=True)
    memory = max(each.memory for each in (*whole, *rest))
    how = "one server, with sendfile, for both; the hash included"
    without = f"both less what the program takes for a file of {TINY_BYTES} bytes"
    return [
        Figure(f"2 GB over loopback HTTP / {program}, then sha256sum", ratio(whole, plain), "x", 1.2, how),
        Figure("its memory", memory / 1e6, "MB", 100.0, "the largest resident set, also of a resumed download"),
        Figure("the rest after a cut at 90 % / the whole", median(each.share for each in taken), "x", 0.35, without),
        Figure("the same, the start of the program included", ratio(rest, whole), "x", None, "at loopback speed"),
    ]


def settled(command: Sequence[str], place: Path, environment: Mapping[str, str] = ENVIRONMENT) -> Run:
    """Run a command when the disk has written what the one before has left to it."""
    os.sync()
    return run(command, place, environment)


def one_after_the_other(first: Sequence[str], second: Sequence[str], place: Path) -> Run:
    one, two = settled(first, place), run(second, place)
    return Run(one.seconds + two.seconds, one.processor + two.processor, max(one.memory, two.memory))


def small_files(place: Path, rounds: int) -> list[Figure]:
    """Measure a directory of many small files of this machine."""
    source, copy, package = place / "source", place / "copy", Package(place / "package")
    for number in range(SMALL_FILES):
        path = source / f"d{number % SMALL_DIRECTORIES}" / f"f{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(number.to_bytes(4, "big") * (SMALL_BYTES // 4))
    ours: list[Run] = []
    plain: list[Run] = []
    for number in range(rounds + 1):
        shutil.rmtree(copy, ignore_errors=True)
        one, other = package.fetch(source.as_uri(), ""), settled(["cp", "-r", str(source), str(copy)], place)
        ours, plain = [*ours, *[one] * (number > 0)], [*plain, *[other] * (number > 0)]
    how = f"{SMALL_BYTES} bytes each, in {SMALL_DIRECTORIES} directories; the hashes and the record included"
    return [Figure("10,000 small files through file:// / `cp -r`", ratio(ours, plain), "x", 3.0, how)]


def write_noise(path: Path, count: int) -> str:
    """Write a file that nothing can make smaller, and return its sha256."""
    digest, block = hashlib.sha256(), hashlib.shake_256(b"noise").digest(1 << 20)
    with path.open("wb") as stream:
        for number in range(-(-count // len(block))):
            chunk = (number.to_bytes(8, "big") + block)[: min(len(block), count - stream.tell())]
            digest.update(chunk)
            stream.write(chunk)
    return digest.hexdigest()


def plain_download(target: Path) -> tuple[str, Sequence[str]]:
    """Return the name and the command of a plain program that downloads to `target`."""
    if shutil.which("curl"):
        return "`curl -o`", ["curl", "--silent", "--noproxy", "*", "-o", str(target)]
    if shutil.which("wget"):
        return "`wget -O` (there is no curl)", ["wget", "--quiet", "--no-proxy", "-O", str(target)]
    raise SystemExit("weights: expected curl or wget on PATH, to compare with")
