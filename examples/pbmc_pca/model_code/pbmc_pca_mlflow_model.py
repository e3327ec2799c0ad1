"""pbmc_pca as an MLflow Model: .h5ad files of single cells in, their places in a published PCA space out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import anndata
import mlflow.pyfunc
import numpy as np


class PbmcPcaMLflowModel(mlflow.pyfunc.PythonModel):
    """Project cells onto the principal components of a published reference."""

    def load_context(self, context):
        """Keep the loadings of the genes that the reference used.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.artifacts["reference"]`` is an .h5ad file with varm["PCs"], NaN for a gene that was not used.
        """
        reference = anndata.read_h5ad(context.artifacts["reference"])
        loadings = np.asarray(reference.varm["PCs"], dtype="float64")
        used = np.isfinite(loadings).all(axis=1)
        self.genes = reference.var_names[used]
        self.loadings = loadings[used]

    def _get_input(self, uri: str, **params: Any) -> anndata.AnnData:
        """Read the query cells.

        Parameters
        ----------
        uri : str
            Local path of an .h5ad file: X as the reference has it (log-normalised, then scaled by gene to mean 0 and
            variance 1; dimensionless), gene symbols as var_names.

        Returns
        -------
        anndata.AnnData
        """
        return anndata.read_h5ad(uri)

    def _forward(self, input_obj: anndata.AnnData, fill_missing: bool = False, **params: Any) -> np.ndarray:
        """Project cells, matching genes by name.

        Parameters
        ----------
        input_obj : anndata.AnnData, shape (n_cells, n_genes)
        fill_missing : bool
            Whether a gene that the query lacks counts as 0, the reference's mean, instead of being an error.

        Returns
        -------
        ndarray of float32, shape (n_cells, 50)
            Projection, dimensionless.

        Raises
        ------
        ValueError
            If gene names are not unique, or genes are missing and `fill_missing` is false.
        """
        if not input_obj.var_names.is_unique:
            raise ValueError("the query names a gene more than once: make var_names unique")
        places = input_obj.var_names.get_indexer(self.genes)
        missing = self.genes[places < 0]
        if len(missing) and not fill_missing:
            raise ValueError(
                f"the query lacks {len(missing)} of the {len(self.genes)} genes, such as {', '.join(missing[:5])}: "
                "add them, or set the param fill_missing to count them as 0, the reference's mean"
            )
        found = places >= 0
        values = input_obj.X[:, places[found]]
        dense = values.toarray() if hasattr(values, "toarray") else np.asarray(values)
        return (dense.astype("float64") @ self.loadings[found]).astype("float32")

    def predict(self, context, model_input, params=None):
        """Predict for each input file and join the results along the first axis.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
        model_input : pandas.DataFrame
            Column ``input_uri``: a local path, file://, artifact://NAME for an artifact of this model, or an address
            that fsspec reads where it is among the requirements.
        params : dict, optional
            The params of the signature; those without a value are left to the methods' own defaults.

        Returns
        -------
        ndarray
        """
        given = {name: value for name, value in (params or {}).items() if value is not None}
        outputs = []
        for uri in model_input["input_uri"]:
            with _local_file(uri, context.artifacts) as path:
                outputs.append(self._forward(self._get_input(path, **given), **given))
        return np.concatenate(outputs)


@contextmanager
def _local_file(uri: str, artifacts: dict[str, str]) -> Iterator[str]:
    """Give the local path of what `uri` names; a remote file is fetched and removed afterwards."""
    parts = urlsplit(uri)
    if parts.scheme == "artifact":
        if parts.netloc not in artifacts:
            raise ValueError(f"{uri}: no such artifact: expected one of {', '.join(sorted(artifacts))}")
        yield str(Path(artifacts[parts.netloc], unquote(parts.path).lstrip("/")))
    elif parts.scheme in ("", "file"):
        path = unquote(parts.path) if parts.scheme else uri
        if not Path(path).exists():
            raise FileNotFoundError(f"{uri}: no such file")
        yield path
    else:
        import fsspec

        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, Path(parts.path).name or "input")
            with fsspec.open(uri, "rb") as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)
            yield str(path)
