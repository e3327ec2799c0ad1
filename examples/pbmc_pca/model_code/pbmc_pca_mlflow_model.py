"""pbmc_pca as an MLflow Model: .h5ad files of single cells in, their places in a published PCA space out."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np

from . import FileUriToTensor


class PbmcPcaMLflowModel(FileUriToTensor):
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
