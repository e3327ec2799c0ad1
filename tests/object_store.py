"""Moto's S3 server on this machine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from downloads.http import session


@pytest.fixture
def object_store(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run it, empty, and give its address; credentials come from the environment, as a person's do."""
    s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    server = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    session().post(f"http://{host}:{port}/moto-api/reset")  # what it holds outlives it in the process
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test-key-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret5")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    address = f"http://{host}:{port}"
    session().post(f"{address}/moto-api/reset")  # all its servers in a process have one store
    s3fs.S3FileSystem.clear_instance_cache()  # one that a test before this made knows that test's server
    yield address
    server.stop()


def put(url: str, content: bytes = b"", **headers: str) -> None:
    """Store an object, or make a bucket; moto asks who it is, and believes it."""
    who = "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"
    session().put(url, data=content, headers={"Authorization": who, **headers}).raise_for_status()
