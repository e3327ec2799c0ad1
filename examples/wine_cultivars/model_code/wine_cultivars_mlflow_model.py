"""wine_cultivars as an MLflow Model: measurements of wines in, the cultivars that they are of out."""

from __future__ import annotations

from typing import Any

import joblib
import numpy as np
import pandas as pd

from . import DataframeToDataframe


class WineCultivarsMLflowModel(DataframeToDataframe):
    """Tell cultivars apart with the pipeline that train.py fitted."""

    def load_context(self, context):
        """Load the pipeline.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.artifacts["classifier"]`` is a fitted scikit-learn pipeline, in joblib's format.
        """
        self.pipeline = joblib.load(context.artifacts["classifier"])

    def _get_input(self, table: pd.DataFrame, **params: Any) -> pd.DataFrame:
        """Bring the columns into the order in which the pipeline was fitted to them.

        Parameters
        ----------
        table : pandas.DataFrame
            Measurements in the units of the data set (alcohol in % by volume, proline in mg/l, colours dimensionless).

        Returns
        -------
        pandas.DataFrame
        """
        return table[list(self.pipeline.feature_names_in_)]

    def _forward(self, input_obj: pd.DataFrame, **params: Any) -> pd.DataFrame:
        """Give the most probable cultivar of each wine.

        Parameters
        ----------
        input_obj : pandas.DataFrame, shape (n_wines, 13)

        Returns
        -------
        pandas.DataFrame
            Columns ``cultivar``, 1 to 3, and ``probability``, that of this cultivar, 0 to 1.
        """
        probabilities = self.pipeline.predict_proba(input_obj)
        cultivars = np.argmax(probabilities, axis=1) + 1
        return pd.DataFrame({"cultivar": cultivars, "probability": probabilities.max(axis=1)})
