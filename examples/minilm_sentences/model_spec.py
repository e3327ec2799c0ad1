"""What the package of minilm_sentences declares: the defaults of mlflow_packager.py's flags, which override it."""

import numpy as np
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

ARCHETYPE = "text_to_tensor"
MODEL_CLASS = "model_code.minilm_sentences_mlflow_model:MinilmSentencesMLflowModel"

MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "text")]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, 384))]),
)
ROWS_MATCH = True

# The sentences of sentence-transformers' README, and how similar it says that they are.
INPUT_EXAMPLE = pd.DataFrame(
    {"text": ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]}
)
PUBLISHED = np.array([[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])

ARTIFACTS = {"encoder": "model_data/encoder"}

# Activations are rounded to 8 bits: on another CPU, which adds up in another order, one may go to the next step.
TOLERANCE = {"rtol": 0.0, "atol": 0.01}

DESCRIPTION = "Embeds sentences and short paragraphs in 384 dimensions: all-MiniLM-L6-v2 with int8 weights, in ONNX."
INTENDED_USE = "Semantic search and clustering of English texts of up to 128 tokens; what is longer is cut."
LICENSE = "Apache-2.0"
CITATION = (
    "Reimers and Gurevych 2019, Sentence-BERT, doi:10.18653/v1/D19-1410; Wang et al. 2020, MiniLM, arXiv:2002.10957."
)


def CHECKS(example, params, output):  # noqa: N802
    """Compare the similarities of the sentences with those that sentence-transformers publishes for the same model.

    Parameters
    ----------
    example : pandas.DataFrame
    params : dict
    output : ndarray of float32, shape (3, 384)
        Embeddings of length 1, dimensionless.

    Raises
    ------
    ValueError
        If a cosine differs by more than 0.01, which is what int8 weights may cost.

    References
    ----------
    README.md of https://github.com/huggingface/sentence-transformers, "Getting Started", all-MiniLM-L6-v2.
    """
    worst = np.abs(output @ output.T - PUBLISHED).max()
    if worst > 0.01:
        raise ValueError(f"expected the published similarities within 0.01, got a difference of {worst:.3g}")
