#!/usr/bin/env python
"""Make a TranscriptFormer checkpoint with random weights in the real on-disk format, and cells to try it on.

  OUT/pbmc20.h5ad       20 cells x 763 genes: raw counts in X, obs["assay"], var["ensembl_id"]
  OUT/tf_tiny/          config.json, model_weights.pt, vocabs/assay_vocab.json, vocabs/homo_sapiens_gene.h5

Run it in an environment with transcriptformer, scanpy and pygeneconverter. Their same versions give the same bytes.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import torch
from omegaconf import OmegaConf
from transcriptformer.model.model import Transcriptformer
from transcriptformer.tokenizer.vocab import load_vocabs_and_embeddings
from transcriptformer.utils.utils import save_as_hdf5

SEED = 20250101
CELLS = 20
GENE_WIDTH = 64  # of a gene's pretrained embedding; the real one, of ESM-2, is 2560
ASSAYS = ("unknown", "10x 3' transcription profiling", "10x 3' v1", "10x 3' v2", "10x 3' v3", "10x 5' v2", "Smart-seq2")


def pbmc_counts() -> anndata.AnnData:
    """Return the raw counts of the PBMC cells that ship with scanpy.

    Returns
    -------
    anndata.AnnData, shape (700, 763)
        X: counts, not normalised. Genes without an Ensembl id are left out.

    Notes
    -----
    The file holds log1p(count / n_counts * 1e4); to undo it gives whole numbers.
    """
    source = anndata.read_h5ad(_shipped("scanpy", "datasets/10x_pbmc68k_reduced.h5ad"))
    total = source.obs["n_counts"].to_numpy()[:, None]
    counts = np.rint(np.expm1(source.raw.X.toarray().astype("float64")) * total / 1e4)
    ids = _ensembl_ids()
    known = [symbol in ids.index for symbol in source.raw.var_names]
    symbols = source.raw.var_names[known].astype(str)
    genes = ids[symbols].to_numpy()
    return anndata.AnnData(
        X=scipy.sparse.csr_matrix(counts[:, known].astype("float32")),
        obs=pd.DataFrame(
            {
                "assay": pd.Categorical(["10x 3' v1"] * source.n_obs),
                "cell_type": pd.Categorical(source.obs["bulk_labels"].astype(str)),
            },
            index=source.obs_names.astype(str),
        ),
        var=pd.DataFrame({"ensembl_id": genes, "feature_name": symbols}, index=genes),
    )


def _ensembl_ids() -> pd.Series:
    """Return one Ensembl gene id by symbol: of several, a protein-coding gene's, then the lowest."""
    table = pd.read_csv(_shipped("pygeneconverter", "data.csv"), usecols=["HGNC_ID", "ENSEMBL_ID", "GENE_TYPE"])
    table["other"] = table["GENE_TYPE"] != "protein_coding"
    table = table.sort_values(["other", "ENSEMBL_ID"]).drop_duplicates("HGNC_ID")
    return table.set_index("HGNC_ID")["ENSEMBL_ID"]


def _shipped(package: str, member: str) -> Path:
    """Return the path of a file in an installed package, without importing it."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise SystemExit(f"{package}: not installed: add it to requirements.in")
    return Path(found.origin).parent / member


def make_checkpoint(out: Path, genes: Sequence[str], config: str) -> None:
    """Write a checkpoint with random weights that knows `genes`, by Ensembl id, and has `config` as its config.json."""
    vocabs = out / "vocabs"
    vocabs.mkdir(parents=True, exist_ok=True)
    (vocabs / "assay_vocab.json").write_text(json.dumps({assay: n for n, assay in enumerate(ASSAYS)}, indent=1) + "\n")
    random = np.random.default_rng(SEED)
    embeddings = {gene: random.standard_normal(GENE_WIDTH).astype("float32") for gene in sorted(genes)}
    save_as_hdf5(embeddings, str(vocabs / "homo_sapiens_gene.h5"))
    (out / "config.json").write_text(config)
    torch.save(_random_model(config, vocabs).state_dict(), out / "model_weights.pt")


def _random_model(config: str, vocabs: Path) -> Transcriptformer:
    settings = OmegaConf.create(json.loads(config))
    data = settings.model.data_config
    data.aux_vocab_path = data.esm2_mappings_path = str(vocabs)
    # The constructor reads these two; as in the real checkpoints, config.json lacks them.
    data.clip_counts = 30
    settings.model.model_config.compile_block_mask = False
    (gene_vocab, aux_vocab), embeddings = load_vocabs_and_embeddings(settings)
    torch.manual_seed(SEED)
    return Transcriptformer(
        data_config=data,
        model_config=settings.model.model_config,
        loss_config=settings.model.loss_config,
        gene_vocab_dict=gene_vocab,
        aux_vocab_dict=aux_vocab,
        emb_matrix=embeddings,
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the directory that gets both")
    parser.add_argument("--config", type=Path, required=True, help="the checkpoint's config.json")
    args = parser.parse_args()
    cells = pbmc_counts()
    cells[:CELLS].copy().write_h5ad(args.out / "pbmc20.h5ad", compression="gzip")
    make_checkpoint(args.out / "tf_tiny", list(cells.var["ensembl_id"]), args.config.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
