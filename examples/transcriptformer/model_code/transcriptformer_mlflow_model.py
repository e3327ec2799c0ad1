"""transcriptformer as an MLflow Model: .h5ad files of single cells in, one embedding per cell out."""

from __future__ import annotations

import copy
import json
from contextlib import nullcontext
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from transcriptformer.data.dataclasses import BatchData
from transcriptformer.data.dataloader import AnnDataset
from transcriptformer.model.embedding_surgery import change_embedding_layer
from transcriptformer.model.model import Transcriptformer
from transcriptformer.tokenizer.vocab import load_vocabs_and_embeddings

from . import FileUriToTensor, local_file

PRECISIONS = ("32", "16-mixed")
# What a dataset and the config of a checkpoint call alike.
_SAME_NAMES = (
    *("pad_zeros", "sort_genes", "filter_outliers", "normalize_to_scale"),
    *("min_expressed_genes", "clip_counts", "remove_duplicate_genes", "use_raw"),
)


class TranscriptformerMLflowModel(FileUriToTensor):
    """Embed single cells with TranscriptFormer."""

    def load_context(self, context):
        """Load the checkpoint once, on a GPU where there is one.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.artifacts["checkpoint"]`` is a directory as `transcriptformer download` makes it.
        """
        checkpoint = Path(context.artifacts["checkpoint"])
        self.artifacts = context.artifacts
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.config = _config(checkpoint, self.device)
        (self.gene_vocab, self.aux_vocab), embeddings = load_vocabs_and_embeddings(self.config)
        self.model = Transcriptformer(
            data_config=self.config.model.data_config,
            model_config=self.config.model.model_config,
            loss_config=self.config.model.loss_config,
            inference_config=self.config.model.inference_config,
            gene_vocab_dict=self.gene_vocab,
            aux_vocab_dict=self.aux_vocab,
            emb_matrix=embeddings,
        ).eval()
        weights = torch.load(checkpoint / "model_weights.pt", weights_only=True, map_location="cpu")
        self.model.load_state_dict(weights)
        self.model.to(self.device)

    def _get_input(self, uri: str, gene_col_name: str = "ensembl_id", **params: Any) -> anndata.AnnData:
        """Read the cells, and check that what the model needs of them is there.

        Parameters
        ----------
        uri : str
            Local path of an .h5ad file: raw counts in .raw, else in X, not normalised; assays in obs["assay"], where
            one that the model does not know counts as unknown.
        gene_col_name : str
            The column of var with Ensembl gene ids; a version such as .7 is left out.

        Returns
        -------
        anndata.AnnData

        Raises
        ------
        ValueError
            If there are no cells, or a column is missing.
        """
        cells = anndata.read_h5ad(uri)
        if not cells.n_obs:
            raise ValueError("the file holds no cells")
        genes = cells.var if cells.raw is None else cells.raw.var
        if gene_col_name not in genes:
            raise ValueError(
                f"var has no column {gene_col_name!r} with Ensembl gene ids: it has {', '.join(genes) or 'none'}; "
                "name the column in the param gene_col_name"
            )
        missing = [column for column in self.aux_vocab or () if column not in cells.obs]
        if missing:
            raise ValueError(f"obs lacks {', '.join(missing)}: add it; 'unknown' is a value that the model knows")
        return cells

    def _forward(
        self,
        input_obj: anndata.AnnData,
        gene_col_name: str = "ensembl_id",
        precision: str = "32",
        pretrained_embedding: str | None = None,
        batch_size: int = 8,
        **params: Any,
    ) -> np.ndarray:
        """Embed cells, as `transcriptformer inference` does.

        Parameters
        ----------
        input_obj : anndata.AnnData, shape (n_cells, n_genes)
            Raw counts.
        gene_col_name : str
            The column of var with Ensembl gene ids.
        precision : str
            "32", or "16-mixed": float16 on a GPU, bfloat16 on a CPU.
        pretrained_embedding : str, optional
            An .h5 file of gene embeddings that takes the place of the checkpoint's own, for another species: a path of
            the machine that predicts, or an address as in input_uri.
        batch_size : int
            Cells at once.

        Returns
        -------
        ndarray of float32, shape (n_cells, embed_dim)
            One embedding per cell, dimensionless.

        Raises
        ------
        ValueError
            If a param has a value that it cannot have.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
        if batch_size < 1:
            raise ValueError(f"batch_size: expected a number from 1, got {batch_size}")
        model, gene_vocab = self._own_model(batch_size, pretrained_embedding)
        dataset = AnnDataset([input_obj], gene_vocab, **_dataset_options(self.config, gene_col_name, self.aux_vocab))
        rows = []
        with torch.inference_mode(), _mixed(self.device, precision):
            for start in range(0, len(dataset), batch_size):
                items = [dataset[n] for n in range(start, min(start + batch_size, len(dataset)))]
                batch = _on(self.device, dataset.collate_fn(items))
                rows.append(model.inference(batch)["embeddings"].float().cpu())
        return torch.cat(rows).numpy()

    def _own_model(self, batch_size: int, pretrained_embedding: str | None) -> tuple[Transcriptformer, dict[str, int]]:
        """Return a model for one request, which shares its weights with all others, and its vocabulary of genes."""
        shared = {id(weights): weights for weights in self.model.parameters()}
        model = copy.deepcopy(self.model, shared)
        model.inference_config.batch_size = batch_size
        if pretrained_embedding is None:
            return model, self.gene_vocab
        with local_file(pretrained_embedding, self.artifacts) as path:
            if not path.endswith(".h5"):
                raise ValueError(f"pretrained_embedding: expected an .h5 file, got {pretrained_embedding!r}")
            return change_embedding_layer(model, [path])


def _config(checkpoint: Path, device: torch.device) -> DictConfig:
    """Return the settings of a checkpoint with those of `transcriptformer inference` on top, as the program does."""
    own = OmegaConf.create(json.loads((checkpoint / "config.json").read_text(encoding="utf-8")))
    program = OmegaConf.create(
        (files("transcriptformer") / "cli/conf/inference_config.yaml").read_text(encoding="utf-8")
    )
    config = OmegaConf.merge(own, program)
    data = config.model.data_config
    data.aux_vocab_path = data.esm2_mappings_path = str(checkpoint / "vocabs")
    data.use_raw = None  # .raw where it is there; the program's flag has this default, its file has another
    # Compiled attention needs a C++ compiler on a CPU, and fails there when the batch size changes.
    config.model.model_config.compile_block_mask = device.type == "cuda"
    return config


def _dataset_options(config: DictConfig, gene_col_name: str, aux_vocab: dict[str, Any] | None) -> dict[str, Any]:
    data = config.model.data_config
    return {
        **{name: data[name] for name in _SAME_NAMES},
        "aux_vocab": aux_vocab,
        "max_len": config.model.model_config.seq_len,
        "pad_token": data.gene_pad_token,
        "filter_to_vocab": data.filter_to_vocabs,
        "gene_col_name": gene_col_name,
        "randomize_order": data.randomize_genes,
    }


def _mixed(device: torch.device, precision: str) -> Any:
    if precision == "32":
        return nullcontext()
    return torch.autocast(device.type, torch.float16 if device.type == "cuda" else torch.bfloat16)


def _on(device: torch.device, batch: BatchData) -> BatchData:
    tensors = {name: value for name, value in vars(batch).items() if isinstance(value, torch.Tensor)}
    return replace(batch, **{name: value.to(device) for name, value in tensors.items()})
