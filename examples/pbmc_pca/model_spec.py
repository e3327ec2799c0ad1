"""What the package of pbmc_pca declares: the defaults of mlflow_packager.py's flags. A flag overrides an entry."""

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

ARCHETYPE = "file_uri_to_tensor"
MODEL_CLASS = "model_code.pbmc_pca_mlflow_model:PbmcPcaMLflowModel"

MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 50))]),
    params=ParamSchema([ParamSpec("fill_missing", "boolean", False)]),
)

# The reference's own cells: their place in the space is published, so that the output can be compared with it.
INPUT_EXAMPLE = pd.DataFrame({"input_uri": ["model_data/pbmc68k_reduced.h5ad"]})

# The example has all the genes: nothing is missing.
INERT_PARAMS = ["fill_missing"]

ARTIFACTS = {"reference": "model_data/pbmc68k_reduced.h5ad"}
TAGS = {"organism": "Homo sapiens", "tissue": "blood"}
DESCRIPTION = "Projects blood cells on the 50 principal components of a published reference of 700 cells."
INTENDED_USE = "A first look at where new cells lie among known ones; differences between experiments stay."
CITATION = "Zheng et al. 2017, Massively parallel digital transcriptional profiling, doi:10.1038/ncomms14049."

# Sums of 309 products in float64, rounded to float32.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def CHECKS(example, params, output):  # noqa: N802
    """Compare the projection with the published embedding, obsm["X_pca"] of the reference.

    Both differ by one constant per component, the projection of the gene means. The later components carry little
    variance and were published with less precision, so the first five are compared.

    Parameters
    ----------
    example : pandas.DataFrame
    params : dict
    output : ndarray of float32, shape (700, 50)
        Projection, dimensionless.

    Raises
    ------
    ValueError
        If a component differs by more than 2e-3.

    References
    ----------
    Zheng et al. 2017, doi:10.1038/ncomms14049; scanpy 1.11.5, datasets/10x_pbmc68k_reduced.h5ad.
    """
    import anndata

    published = anndata.read_h5ad(example["input_uri"][0]).obsm["X_pca"]
    difference = output[:, :5].astype("float64") - published[:, :5]
    worst = np.abs(difference - difference.mean(axis=0)).max()
    if worst > 2e-3:
        raise ValueError(f"expected the published embedding within 2e-3, got a difference of {worst:.3g}")
