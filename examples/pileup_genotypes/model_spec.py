"""What the package of pileup_genotypes declares: the defaults of mlflow_packager.py's flags, which override it."""

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema

ARCHETYPE = "file_uri_to_dataframe"
MODEL_CLASS = "model_code.pileup_genotypes_mlflow_model:PileupGenotypesMLflowModel"

MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema(
        [
            ColSpec("string", "contig"),
            ColSpec("long", "position"),
            ColSpec("long", "depth"),
            ColSpec("string", "genotype"),
            ColSpec("double", "quality"),
        ]
    ),
)

INPUT_EXAMPLE = pd.DataFrame({"input_uri": ["model_data/reads/example.bam"]})
# pysam looks for the index beside the BAM file, and cannot fetch without it: it travels, too.
EXAMPLE_FILES = ["model_data/reads/*.bai"]

# The share of heterozygous positions in a human genome, as samtools takes it.
MODEL_CONFIG = {"heterozygosity": 0.001}
TOLERANCE = {"rtol": 1e-6, "atol": 1e-6}

DESCRIPTION = "Calls the diploid genotype of each position from reads, by the likelihoods of samtools' publication."
INTENDED_USE = "An example of a model whose input needs a file beside it; no variant caller."
CITATION = "Li 2011, A statistical framework for SNP calling, doi:10.1093/bioinformatics/btr509."

IUPAC = {"AC": "M", "AG": "R", "AT": "W", "CG": "S", "CT": "Y", "GT": "K"}


def CHECKS(example, params, output):  # noqa: N802
    """Compare the genotypes of quality 30 and more with the bases that `samtools consensus` calls there.

    Parameters
    ----------
    example : pandas.DataFrame
    params : dict
    output : pandas.DataFrame
        Columns ``contig``, ``position``, ``depth``, ``genotype`` and ``quality``.

    Raises
    ------
    ValueError
        If fewer than 99 % agree.
    """
    import pysam

    words = ["-a", "-A", "--show-ins", "no", "--show-del", "yes", "-l", "0", example["input_uri"][0]]
    lines = iter(pysam.samtools.consensus(*words).split())
    consensus = {name.removeprefix(">"): next(lines) for name in lines}
    sure = output[output["quality"] >= 30]
    places = zip(sure["contig"], sure["position"], sure["genotype"], strict=True)
    agree = sum(consensus[contig][at - 1] == IUPAC.get(called, called[0]) for contig, at, called in places)
    if agree < 0.99 * len(sure):
        raise ValueError(f"expected what samtools consensus calls, got it at {agree} of {len(sure)} positions")
