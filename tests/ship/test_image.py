"""The build context is built for real by Debian's buildah, on a base that mmdebstrap makes; its server is asked."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.chain.conftest import NAME, Package
from tests.chain.conftest import package as package

from .test_publishing import answers, invoke
from .test_publishing import verified as verified

pytestmark = pytest.mark.heavy
MISSING = [name for name in ("buildah", "mmdebstrap") if not shutil.which(name)]
PYTHON = "python3,python3-pip,python-is-python3,ca-certificates,passwd"
# Debian's Python refuses pip; what this machine trusts, the build trusts.
BASE = """FROM scratch
ADD base.tar /
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_SYSTEM_CERTS=true
RUN rm -f /usr/lib/python3*/EXTERNALLY-MANAGED
"""
BUILD = ["bud", "--isolation", "chroot", "--layers", "--format", "docker"]


class Images:
    """buildah with a store of its own."""

    def __init__(self, place: Path) -> None:
        place.mkdir()
        self._words = ["buildah", "--root", str(place / "store"), "--runroot", str(place / "run")]

    def command(self, *words: str) -> list[str]:
        return [*self._words, *words]

    def run(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def images(tmp_path: Path) -> Iterator[Images]:
    """Return a store that holds the base, and is removed as buildah removes it."""
    if MISSING or os.geteuid():
        pytest.skip(f"needs root, and of Debian: {', '.join(MISSING)}")
    made, base = Images(tmp_path / "images"), tmp_path / "base"
    base.mkdir()
    debian = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PYTHON}", "bookworm", str(base / "base.tar")]
    subprocess.run([*debian, "http://deb.debian.org/debian"], check=True)
    (base / "Dockerfile").write_text(BASE)
    made.run(*BUILD, "--tag", "base:1", str(base))
    yield made
    made.run("rm", "--all")
    made.run("rmi", "--all", "--force")


def test_container_gives_the_packages_answer_and_an_edit_of_code_installs_nothing(
    verified: Package, images: Images, tmp_path: Path
) -> None:
    context = tmp_path / "context"
    place = ["--model", NAME, "--models-dir", str(verified.root.parent), "--output-path", str(context)]
    assert invoke("image", *place).returncode == 0
    words = [*BUILD, "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--build-arg", "BASE=localhost/base:1"]
    images.run(*words, "--tag", "served:1", str(context))
    container = images.run("from", "localhost/served:1").strip()
    assert images.run("run", "--isolation", "chroot", container, "--", "id", "-u").strip() == "10001"
    # The payload names its file relative to where the server runs.
    images.run("copy", container, str(verified.root / "model_data"), "/srv/model_data")
    assert answer(images, container, verified) == json.loads((verified.root / "predict_output.json").read_text())
    with (context / "model" / "code" / "model_code" / "__init__.py").open("a") as code:
        code.write("# edited\n")
    kept, made = taken(images, *words, "--tag", "served:2", str(context))
    assert [each.split()[0] for each in made if each.split()[0] in ("RUN", "COPY")] == ["COPY"]
    assert [each.split()[0] for each in kept].count("RUN") == 3


def test_image_of_mlflow_itself_installs_all_requirements_again_after_an_edit_of_code(
    verified: Package, images: Images, tmp_path: Path
) -> None:
    context, model = tmp_path / "context", verified.root / "mlflow_model_artifacts"
    command = [sys.executable, "-m", "mlflow", "models", "generate-dockerfile", "--model-uri", str(model)]
    subprocess.run([*command, "--output-directory", str(context)], check=True)
    text = (context / "Dockerfile").read_text()
    (context / "Dockerfile").write_text(re.sub("(?m)^FROM .*", "FROM localhost/base:1", text))
    words = [*BUILD, "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro"]
    images.run(*words, "--tag", "theirs:1", str(context))
    with next(context.rglob("model_code/__init__.py")).open("a") as code:
        code.write("# edited\n")
    _, made = taken(images, *words, "--tag", "theirs:2", str(context))
    assert [each for each in made if "_install_pyfunc_deps" in each] != []


def taken(images: Images, *words: str) -> tuple[list[str], list[str]]:
    """Build an image again, and return which of its steps came from the cache and which did not."""
    steps = [step.partition(": ")[2] for step in images.run(*words).split("STEP ")[1:]]
    return [each for each in steps if "Using cache" in each], [each for each in steps if "Using cache" not in each]


def answer(images: Images, container: str, verified: Package) -> object:
    """Start the image's own command, as a container is started, and ask it the package's payload."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = json.loads(images.run("inspect", container))["OCIv1"]["config"]["Cmd"]
    words = images.command("run", "--isolation", "chroot", "--env", f"PORT={port}", container, "--", *started)
    process = subprocess.Popen(words, start_new_session=True)
    try:
        while not answers(f"http://127.0.0.1:{port}"):
            assert process.poll() is None
        payload = (verified.root / "test_input_payload.json").read_bytes()
        asked = Request(f"http://127.0.0.1:{port}/invocations", payload, {"Content-Type": "application/json"})
        return json.load(urlopen(asked, timeout=60))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
