"""What the package of wine_cultivars declares: the defaults of mlflow_packager.py's flags, which override it."""

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

ARCHETYPE = "dataframe_to_dataframe"
MODEL_CLASS = "model_code.wine_cultivars_mlflow_model:WineCultivarsMLflowModel"

MEASURED = [
    "alcohol",
    "malic_acid",
    "ash",
    "alcalinity_of_ash",
    "magnesium",
    "total_phenols",
    "flavanoids",
    "nonflavanoid_phenols",
    "proanthocyanins",
    "color_intensity",
    "hue",
    "od280/od315_of_diluted_wines",
    "proline",
]
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("double", name) for name in MEASURED]),
    outputs=Schema([ColSpec("long", "cultivar"), ColSpec("double", "probability")]),
)
ROWS_MATCH = True

# All the 178 wines; which cultivar each is of is known.
WINES = pd.read_csv("model_data/wines.csv")
INPUT_EXAMPLE = WINES[MEASURED]

ARTIFACTS = {"classifier": "model_data/classifier.joblib"}
TOLERANCE = {"rtol": 1e-6, "atol": 1e-9}

DESCRIPTION = "Tells which of three cultivars a wine is of from 13 measurements: linear discriminant analysis."
INTENDED_USE = "An example of a model that is trained where it is packaged."
LICENSE = "BSD-3-Clause"
CITATION = "Aeberhard et al. 1992, Comparison of classifiers in high dimensional settings; doi:10.24432/C5PC7J."


def CHECKS(example, params, output):  # noqa: N802
    """Compare the cultivars with those that the wines are of.

    Linear discriminant analysis separates these wines without a fault (Aeberhard et al. 1992: 100 % on the wines that
    it was fitted to, 98.9 % on others, which train.py checks).

    Parameters
    ----------
    example : pandas.DataFrame
    params : dict
    output : pandas.DataFrame
        Column ``cultivar``, 1 to 3, and ``probability``, 0 to 1.

    Raises
    ------
    ValueError
        If a wine is taken for another cultivar's.
    """
    wrong = int((output["cultivar"] != WINES["cultivar"]).sum())
    if wrong:
        raise ValueError(f"expected the known cultivar of each of the {len(output)} wines, got {wrong} others")
