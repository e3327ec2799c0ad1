"""A verified package in a registry, MLflow's own server or a database beside the packages, and signed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from serving.rebuilt import place_of
from tests.chain.conftest import NAME, REPOSITORY, Package
from tests.chain.conftest import package as package
from tests.chain.test_chain import SPEC

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("ship")]


def invoke(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID")}
    command, env = [sys.executable, "-m", "invoke", *words], {**kept, **variables}
    done = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    return done


@pytest.fixture(scope="module")
def verified(package: Package) -> Package:
    """Return a verified package."""
    (package.root / "tiny.h5ad").rename(package.root / "model_data" / "tiny.h5ad")
    spec = package.root / "model_spec.py"
    spec.write_text(f"{spec.read_text()}{SPEC}")
    assert package.invoke("verify").returncode == 0
    return package


@contextmanager
def running(place: Path, *command: str, **variables: str) -> Iterator[str]:
    """Run a server of MLflow for as long as a block runs, and return its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = f"{Path(command[0]).parent}{os.pathsep}{os.environ['PATH']}"
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=place,
            stdout=log,
            stderr=log,
            env={**os.environ, "PATH": path, **variables},
        )
    try:
        while not answers(f"http://127.0.0.1:{port}"):
            assert process.poll() is None, (place / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def store(place: Path) -> list[str]:
    words = ["--backend-store-uri", f"sqlite:///{place}/server.db", "--artifacts-destination", str(place / "files")]
    return [*words, "--workers", "1"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of an `mlflow server` that serves artifacts, with a database of its own."""
    place = tmp_path_factory.mktemp("server")
    with running(place, sys.executable, "-m", "mlflow", "server", *store(place)) as address:
        yield address


def answers(address: str) -> bool:
    try:
        return bool(urlopen(f"{address}/health", timeout=5).status == 200)
    except OSError:  # not up yet, or slow
        return False


def register(package: Package, *words: str) -> subprocess.CompletedProcess[str]:
    return invoke("register", "--model", NAME, "--models-dir", str(package.root.parent), *words)


def digests(root: Path) -> dict[str, str]:
    files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


READ_BACK = """
import json, mlflow, sys
uri, name, alias, target = sys.argv[1:]
client = mlflow.MlflowClient(uri)
version = client.get_model_version_by_alias(name, alias)
mlflow.set_tracking_uri(uri)
for path, source in (("model", version.source), ("facts", f"runs:/{version.run_id}/facts")):
    mlflow.artifacts.download_artifacts(source, dst_path=f"{target}/{path}")
print(json.dumps({"version": str(version.version), "tags": version.tags, "source": version.source,
                  "metrics": client.get_run(version.run_id).data.metrics,
                  "versions": len(client.search_model_versions(f"name = '{name}'"))}))
"""


def read_back(uri: str, target: Path) -> dict[str, Any]:
    for name in ("model", "facts"):
        (target / name).mkdir()
    command = [sys.executable, "-c", READ_BACK, uri, "cells", "candidate", str(target)]
    done = subprocess.run(command, cwd=target, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_version_on_a_server_is_the_package_byte_for_byte_and_gives_its_answer(
    verified: Package, server: str, tmp_path: Path
) -> None:
    words = ["--name", "cells", "--alias", "candidate", "--tracking-uri", server]
    for verb in ("report", "card", "sbom"):
        assert invoke(verb, "--model", NAME, "--models-dir", str(verified.root.parent)).returncode == 0
    for _ in range(2):
        done = register(verified, *words, "--json")
        assert done.returncode == 0
    (step,) = json.loads(done.stdout)["models"][0]["steps"]
    model = verified.root / "mlflow_model_artifacts"
    digest = json.loads((model / "package_manifest.json").read_text())["digest"]
    assert step["found"]["new"] is False
    assert step["found"]["digest"] == digest
    found = read_back(server, tmp_path)
    assert found["versions"] == 1
    assert digests(next((tmp_path / "model").rglob("MLmodel")).parent) == digests(model)
    told = {path.name for path in (tmp_path / "facts").rglob("*") if path.is_file()}
    assert told == {"verification.json", "serve_report.json", "report.html", "README.md", "sbom.cdx.json"}
    assert found["tags"]["digest"] == digest
    assert {"tool_version", "verified_at"} <= found["tags"].keys()
    assert found["metrics"]["served.max_absolute"] == 0
    assert found["metrics"]["rest.seconds"] > 0
    # What the page of a version shows as its schema.
    asked = "model-versions/get-artifact?path=MLmodel&name=cells&version=1"
    assert b"signature" in urlopen(f"{server}/{asked}", timeout=30).read()
    done = invoke("check", "--model-uri", "models:/cells@candidate", "--tracking-uri", server)
    assert done.returncode == 0
    assert digest in done.stderr
    assert "its example gives the output that it was packaged with" in done.stderr
    done = invoke("check", "--model-uri", "models:/cells@nobody", "--tracking-uri", server)
    assert done.returncode == 1
    assert "nobody" in done.stderr.splitlines()[-1]


@pytest.mark.heavy
def test_mlflow_serves_the_registered_version_and_gives_the_packages_answer(
    verified: Package, server: str, tmp_path: Path
) -> None:
    assert register(verified, "--name", "served", "--alias", "candidate", "--tracking-uri", server).returncode == 0
    fingerprint = json.loads((verified.root / "serve_report.json").read_text())["environment"]["fingerprint"]
    program = str(place_of(fingerprint, os.environ) / "bin" / "mlflow")
    words = ["models", "serve", "--model-uri", "models:/served@candidate", "--env-manager", "local"]
    payload = (verified.root / "test_input_payload.json").read_bytes()
    asked = {"Content-Type": "application/json"}
    # The payload names its file relative to the package.
    (tmp_path / "model_data").symlink_to(verified.root / "model_data")
    with running(tmp_path, program, *words, MLFLOW_TRACKING_URI=server) as address:
        answer = json.load(urlopen(Request(f"{address}/invocations", payload, asked), timeout=60))
    assert answer == json.loads((verified.root / "predict_output.json").read_text())


@pytest.mark.heavy
def test_old_server_and_one_without_rights_are_told_before_anything_is_registered(
    verified: Package, tmp_path: Path
) -> None:
    uv, old = str(Path(sys.executable).with_name("uv")), tmp_path / "old"
    requirements = {"old": ["mlflow==2.2.2", "setuptools<80", "sqlalchemy<2.1"], "auth": ["mlflow[auth]"]}
    for name, lines in requirements.items():
        subprocess.run([uv, "venv", "--quiet", "--python", "3.11", tmp_path / name], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", tmp_path / name, *lines], check=True)
    mlflow = str(old / "bin" / "mlflow")
    with running(old, mlflow, "server", *store(old)) as address:
        done = register(verified, "--name", "cells", "--alias", "candidate", "--tracking-uri", address)
        assert (done.returncode, "too old" in done.stderr.splitlines()[-1]) == (1, True)
        listed = urlopen(f"{address}/api/2.0/mlflow/registered-models/search", timeout=30)
        assert json.load(listed) == {}
        assert register(verified, "--name", "cells", "--tracking-uri", address).returncode == 0
    auth, password = tmp_path / "auth", "a long password"
    secret = {"MLFLOW_FLASK_SERVER_SECRET_KEY": "x", "MLFLOW_AUTH_ADMIN_PASSWORD": password}
    words = ["server", "--app-name", "basic-auth", *store(auth)]
    with running(auth, str(auth / "bin" / "mlflow"), *words, **secret) as address:
        reader = json.dumps({"username": "reader", "password": password}).encode()
        by = {"Authorization": f"Basic {b64encode(f'admin:{password}'.encode()).decode()}"}
        made = Request(f"{address}/api/2.0/mlflow/users/create", reader, {**by, "Content-Type": "application/json"})
        urlopen(made, timeout=30)
        place = ["--name", "cells", "--tracking-uri", address]
        for user, code, says in (("nobody", 1, "status 401"), ("admin", 0, ""), ("reader", 1, "status 403")):
            who = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
            words = ["register", "--model", NAME, "--models-dir", str(verified.root.parent), *place]
            done = invoke(*words, "--alias", "candidate", **who)
            assert (done.returncode, says in done.stderr.splitlines()[-1]) == (code, True)


def test_store_is_beside_the_packages_by_default_and_check_finds_it(verified: Package) -> None:
    before = {path.name for path in verified.root.iterdir()}
    done = register(verified, "--name", "cells", "--alias", "candidate")
    assert done.returncode == 0
    assert done.stdout.strip() == "models:/cells/1: registered; its alias: candidate"
    models = verified.root.parent
    assert {"mlflow.db", "mlartifacts"} <= {path.name for path in models.iterdir()}
    assert {path.name for path in verified.root.iterdir()} == before
    words = ["--model-uri", "models:/cells@candidate", "--models-dir", str(models), "--manifest-only"]
    assert invoke("check", *words).returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--name", "a/b"], 2, "Names cannot contain '/' or ':'"),
        (["--name", "cells", "--alias", "v1"], 2, "MLflow takes no such alias: expected letters, digits, _ and -"),
        (["--name", "cells", "--tracking-uri", "http://127.0.0.1:9"], 1, "the registry gives no answer"),
    ],
)
def test_register_is_refused_before_anything_is_logged(
    verified: Package, words: list[str], code: int, says: str
) -> None:
    done = register(verified, *words)
    assert done.returncode == code
    assert says in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("uri", ["models:/cells/1", f"runs:/{'0' * 32}/model"])
def test_check_says_so_when_the_server_is_down(uri: str) -> None:
    done = invoke("check", "--model-uri", uri, "--tracking-uri", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert "http://127.0.0.1:9: the registry gives no answer" in done.stderr.splitlines()[-1]


def test_package_that_is_stale_is_not_registered(verified: Package, tmp_path: Path) -> None:
    models = tmp_path / "models"
    copied = shutil.copytree(verified.root, models / verified.root.name, symlinks=True)
    spec = copied / "model_spec.py"
    spec.write_text(f"{spec.read_text()}\nTAGS = {{'a': 'b'}}\n")
    done = invoke("register", "--model", NAME, "--models-dir", str(models), "--name", "cells")
    assert done.returncode == 2
    assert "not verified as it is now" in done.stderr
    assert f"Run `invoke verify --model {NAME} --models-dir {models}` first." in done.stderr
    assert not (models / "mlflow.db").exists()


def test_signed_package_is_up_to_date_and_check_says_who_signed(verified: Package, tmp_path: Path) -> None:
    pytest.importorskip("model_signing", reason="extra ship")
    for words in (["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key"], PUBLIC):
        subprocess.run(["openssl", *words], cwd=tmp_path, check=True, capture_output=True)
    place = ["--model", NAME, "--models-dir", str(verified.root.parent)]
    assert invoke("sign", *place, "--private-key", str(tmp_path / "key")).returncode == 0
    assert invoke("status", *place).returncode == 0
    model, key = str(verified.root / "mlflow_model_artifacts"), str(tmp_path / "key.pub")
    done = invoke("check", "--model-uri", model, "--manifest-only", "--public-key", key, "--require-signature")
    assert (done.returncode, f"{model}: signed by the owner of {key}" in done.stderr) == (0, True)
    done = invoke("check", "--model-uri", model, "--manifest-only", "--certificates", key)
    assert done.returncode == 1


PUBLIC = ["ec", "-in", "key", "-pubout", "-out", "key.pub"]


def test_build_context_is_what_linters_ask_for_and_holds_the_model_whole(verified: Package, tmp_path: Path) -> None:
    place, context = ["--model", NAME, "--models-dir", str(verified.root.parent)], tmp_path / "context"
    for _ in range(2):
        done = invoke("image", *place, "--output-path", os.path.relpath(context))
        assert (done.returncode, f"podman build --tag {NAME} {context}\n" in done.stdout) == (0, True)
    text = (context / "Dockerfile").read_text()
    model = verified.root / "mlflow_model_artifacts"
    there = digests(context / "model")
    there |= {f"artifacts/{name}": digest for name, digest in digests(context / "weights").items()}
    assert there == {name: digest for name, digest in digests(model).items() if name != "model.sig"}
    assert (context / "requirements.txt").read_bytes() == (model / "requirements.txt").read_bytes()
    digest = json.loads((model / "package_manifest.json").read_text())["digest"]
    assert f'    org.opencontainers.image.version="{digest}"' in text
    order = ["uv pip install", "USER 10001", "HEALTHCHECK", "/ping", "exec mlflow models serve"]
    order += ["COPY weights/", "COPY model/", "LABEL "]
    assert sorted(order, key=text.index) == order
    hadolint = Path(sys.executable).with_name("hadolint")
    if hadolint.is_file():
        done = subprocess.run([hadolint, context / "Dockerfile"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")
    (context / "Dockerfile").write_text(f"{text}# mine\n")
    done = invoke("image", *place, "--output-path", str(context))
    assert done.returncode == 2
    assert "it may hold work of yours. Move it away" in done.stderr
    assert (context / "Dockerfile").read_text().endswith("# mine\n")
