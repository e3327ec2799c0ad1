"""What the package of transcriptformer declares: the defaults of mlflow_packager.py's flags, which override it."""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

# Which checkpoint under model_data/ is packaged, and the width of its embeddings.
VARIANT = "tf_tiny"
WIDTHS = {"tf_tiny": 64, "tf_sapiens": 2048, "tf_exemplar": 2048, "tf_metazoa": 2048}

ARCHETYPE = "file_uri_to_tensor"
MODEL_CLASS = "model_code.transcriptformer_mlflow_model:TranscriptformerMLflowModel"

MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, WIDTHS[VARIANT]))]),
    params=ParamSchema(
        [
            ParamSpec("gene_col_name", "string", "ensembl_id"),
            ParamSpec("precision", "string", "32"),
            ParamSpec("pretrained_embedding", "string", None),
            ParamSpec("batch_size", "integer", 8),
        ]
    ),
)

INPUT_EXAMPLE = pd.DataFrame({"input_uri": ["model_data/pbmc20.h5ad"]})
INERT_PARAMS = ["batch_size"]

ARTIFACTS = {"checkpoint": f"model_data/{VARIANT}"}
MODEL_CONFIG = {"model_variant": VARIANT}
TAGS = {"model_variant": VARIANT, "organism": "Homo sapiens"}

# In float32. On one machine all ways agree to the bit; another CPU adds up in another order.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


def CHECKS(example, params, output):  # noqa: N802
    """Compare the embeddings with those of the program that comes with the model, `transcriptformer inference`.

    Parameters
    ----------
    example : pandas.DataFrame
    params : dict
    output : ndarray of float32, shape (20, embed_dim)
        Embeddings, dimensionless.

    Raises
    ------
    ValueError
        If one differs by more than the tolerance.
    """
    import anndata

    if output.shape[1] != WIDTHS[VARIANT]:
        return  # a flag has packaged another checkpoint; the signature has checked its shape
    with tempfile.TemporaryDirectory() as scratch:
        _run_inference(Path(example["input_uri"][0]).resolve(), params, Path(scratch))
        expected = anndata.read_h5ad(Path(scratch, "embeddings.h5ad")).obsm["embeddings"]
    if output.shape != expected.shape:
        raise ValueError(f"expected the shape {expected.shape}, as of transcriptformer inference, got {output.shape}")
    if not np.allclose(output, expected, **TOLERANCE):
        worst = np.abs(output - expected).max()
        raise ValueError(f"expected what transcriptformer inference gives, got a difference of up to {worst:.3g}")


def _run_inference(cells, params, out):
    """Run the program in `out`, since it leaves logs where it runs; its flags are named as the model's params."""
    import torch

    # The same device as the model's; see there for why masks are not compiled on a CPU.
    device = ["cuda"] if torch.cuda.is_available() else ["cpu", "--disable-compile-block-mask"]
    command = [Path(sys.executable).with_name("transcriptformer"), "inference", "--device", *device]
    command += ["--checkpoint-path", Path(ARTIFACTS["checkpoint"]).resolve()]
    command += ["--data-file", cells, "--output-path", out]
    for name, value in {"precision": "32", "batch_size": 8, **params}.items():
        command += [f"--{name.replace('_', '-')}", str(value)] if value is not None else []
    done = subprocess.run(command, cwd=out, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        raise ValueError(f"transcriptformer inference failed:\n{done.stdout[-4000:]}")
