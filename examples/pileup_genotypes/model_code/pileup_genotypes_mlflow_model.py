"""pileup_genotypes as an MLflow Model: indexed BAM files in, the most probable genotype of each position out."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pandas as pd
import pysam

from . import FileUriToDataframe

BASES = "ACGT"
GENOTYPES = ["".join(pair) for pair in combinations_with_replacement(BASES, 2)]


class PileupGenotypesMLflowModel(FileUriToDataframe):
    """Weigh the ten diploid genotypes of each position by the reads that cover it."""

    def load_context(self, context):
        """Take the prior from the configuration.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.model_config["heterozygosity"]`` is the probability that a position is heterozygous.

        References
        ----------
        Li 2011, doi:10.1093/bioinformatics/btr509, equation 2.
        """
        heterozygosity = context.model_config["heterozygosity"]
        is_homozygous = np.array([first == second for first, second in GENOTYPES])
        self.log_prior = np.log(np.where(is_homozygous, (1 - heterozygosity) / 4, heterozygosity / 6))
        # How many of a genotype's two alleles are a base: shape (10, 4).
        self.copies = np.array([[genotype.count(base) for base in BASES] for genotype in GENOTYPES])

    def _get_input(self, uri: str, **params: Any) -> pysam.AlignmentFile:
        """Open one BAM file with its index.

        Parameters
        ----------
        uri : str
            Local path of a sorted BAM file; its .bai or .csi lies beside it.

        Returns
        -------
        pysam.AlignmentFile
        """
        return pysam.AlignmentFile(uri)

    def _forward(self, input_obj: pysam.AlignmentFile, **params: Any) -> pd.DataFrame:
        """Call the genotype of each position that reads cover.

        Parameters
        ----------
        input_obj : pysam.AlignmentFile

        Returns
        -------
        pandas.DataFrame
            Columns ``contig``; ``position``, from 1; ``depth``, reads; ``genotype``, two bases in alphabetical order;
            ``quality``, Phred-scaled, at most 99.
        """
        rows = []
        with input_obj:
            for contig in input_obj.references:
                for column in input_obj.pileup(contig):
                    bases = [base.upper() for base in column.get_query_sequences()]
                    reads = [
                        (b, q) for b, q in zip(bases, column.get_query_qualities(), strict=True) if b in set(BASES)
                    ]
                    if reads:
                        rows.append((contig, column.reference_pos + 1, len(reads), *self._call(reads)))
        return pd.DataFrame(rows, columns=["contig", "position", "depth", "genotype", "quality"])

    def _call(self, reads: list[tuple[str, int]]) -> tuple[str, float]:
        """Return the most probable genotype of one position, and its quality.

        Parameters
        ----------
        reads : list of (base, Phred-scaled base quality)
        """
        index = [BASES.index(base) for base, _ in reads]
        error = 10 ** (-np.array([quality for _, quality in reads]) / 10)
        share = self.copies[:, index] / 2  # of the genotype's alleles that are the read's base: shape (10, n_reads)
        log_posterior = np.log(share * (1 - error) + (1 - share) * error / 3).sum(axis=1) + self.log_prior
        posterior = np.exp(log_posterior - log_posterior.max())
        best = int(posterior.argmax())
        wrong = (posterior.sum() - posterior[best]) / posterior.sum()
        return GENOTYPES[best], float(min(99.0, -10 * np.log10(max(wrong, 1e-10))))
