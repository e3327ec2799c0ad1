"""Outputs in an object store: moto's S3."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from model_side.base.errors import UsageError
from tests.object_store import object_store, put

__all__ = ["object_store"]
pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("batch"), pytest.mark.filterwarnings("ignore")]


def test_outputs_and_manifest_go_to_the_store(
    inputs: Callable[..., Path],
    run: Callable[..., int],
    object_store: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import s3fs

    monkeypatch.setenv("MODEL_BATCH_CACHE", str(tmp_path / "journals"))
    put(f"{object_store}/bucket")
    inputs(a="1", b="raise gene")
    assert run(out="s3://bucket/outputs") == 1
    store = s3fs.S3FileSystem(skip_instance_cache=True)
    names = sorted(each.rpartition("/")[2] for each in store.ls("bucket/outputs"))
    assert names == ["a.in.npy", "manifest.parquet"]
    assert np.load(BytesIO(store.cat("bucket/outputs/a.in.npy"))).tolist() == [[1, 1]]
    capsys.readouterr()
    assert run(out="s3://bucket/outputs", dry_run=True) == 0
    assert "1: failed before" in capsys.readouterr().out
    put(f"{object_store}/bucket/outputs/c.in.npy", b"mine")
    inputs(c="3")
    with pytest.raises(UsageError, match=r"c\.in\.npy"):
        run(out="s3://bucket/outputs")
