"""A verified package without an environment: the files that the chain would leave, made in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from model_side.model.manifest import seal

TENSOR = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]
ROUTES = [
    {
        "route": name,
        "status": "agrees",
        "shape": [3, 2],
        "dtype": "float32",
        "seconds": 0.1,
        "peak_memory": 2_000_000,
        "max_absolute": 0.0,
        "max_relative": 0.0,
        "differing": [],
        "differing_cells": 0,
    }
    for name in ("in-process", "served", "rest", "golden")
]
ROUTES.append({"route": "direct", "status": "not available", "why": "it needs the package", "seconds": None})
FINGERPRINT, SERVED = f"sha256:{'5' * 64}", {"numpy": "2.0", "old-thing": "2.0"}
CHECKS = [{"check": "hermetic", "status": "passed"}, {"check": "rows", "status": "off", "why": "it ranks <rows>"}]


def verified_package(
    models_dir: Path,
    predictions: Any = ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)),
    outputs: list[dict[str, Any]] | None = None,
    name: str = "tiny",
    about: Mapping[str, str] | None = None,
    variables: Sequence[str] = (),
) -> Path:
    """Write a package that is verified, with a given answer and output schema."""
    root = models_dir / f"{name}_mlflow_pkg"
    model = root / "mlflow_model_artifacts"
    (model / "artifacts").mkdir(parents=True)
    (model / "code").mkdir()
    (model / "code" / "tiny.py").write_text("SCALE = 1.0\n")
    (model / "artifacts" / "weights.bin").write_bytes(bytes(range(200)))
    signature = {
        "inputs": json.dumps([{"type": "double", "name": "count", "required": True}]),
        "outputs": json.dumps(outputs or TENSOR),
        "params": json.dumps([{"name": "scale", "default": 1.0, "shape": None, "type": "double"}]),
    }
    payload = {"dataframe_split": {"columns": ["count"], "data": [[1.0], [2.0], [3.0]]}, "params": {"scale": 1.0}}
    entry = {
        "flavors": {"python_function": {"python_version": "3.11.7"}},
        "metadata": {
            "archetype": "dataframe_to_dataframe",
            "tags": {"organism": "mouse"},
            "about": dict(about or {}),
            "verification": {"environment": list(variables)},
        },
        "mlflow_version": "3.17.2",
        "model_uuid": "0" * 32,
        "saved_input_example_info": {"serving_input_path": "serving_input_example.json"},
        "signature": signature,
    }
    (model / "MLmodel").write_text(yaml.safe_dump(entry))
    (model / "serving_input_example.json").write_text(json.dumps(payload))
    seal(model, root)
    uuid = yaml.safe_load((model / "MLmodel").read_text())["model_uuid"]
    tolerance = {"rtol": 1e-5, "atol": 0.0}
    verdict = {"ok": True, "model_uuid": uuid, "routes": ROUTES, "checks": CHECKS, "tolerance": tolerance}
    for file, value in {
        "verification.json": verdict,
        "test_input_payload.json": payload,
        "predict_output.json": {"predictions": predictions},
        "serve_report.json": {"environment": {"fingerprint": FINGERPRINT, "distributions": SERVED}},
    }.items():
        (root / file).write_text(json.dumps(value))
    (root / "requirements.in").write_text("# pins\nNumPy>=2\n-c constraints.txt\n")
    install(root / ".venv", "numpy", "License-Expression: BSD-3-Clause\n")
    install(root / ".venv", "old_thing", "License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License\n")
    return root


def install(environment: Path, name: str, more: str) -> None:
    """Write the metadata of version 2.0 of a distribution into an environment."""
    info = environment / "lib" / "python3.11" / "site-packages" / f"{name}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n{more}\nA <b>long</b> text\n")
