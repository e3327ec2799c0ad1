"""What the package of deepbet_masks declares: the defaults of mlflow_packager.py's flags, which override it."""

from urllib.parse import unquote, urlsplit

import nibabel
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

ARCHETYPE = "file_uri_to_file"
MODEL_CLASS = "model_code.deepbet_masks_mlflow_model:DeepbetMasksMLflowModel"

MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec("string", "input_uri")]),
    outputs=Schema([ColSpec("string", "output_uri")]),
    params=ParamSchema([ParamSpec("output_dir", "string", "")]),
)
ROWS_MATCH = True
OUTPUT_FILES = True

# A template of the brain alone: where it is not 0 is the published mask.
INPUT_EXAMPLE = pd.DataFrame({"input_uri": ["model_data/mni_icbm152_t1.nii.gz"]})

ARTIFACTS = {"networks": "model_data/deepbet"}
TAGS = {"organism": "Homo sapiens", "tissue": "brain"}

DESCRIPTION = "Writes the mask of the brain for T1-weighted magnetic resonance images: deepbet."
INTENDED_USE = (
    "Brain extraction of NIfTI images of healthy adults, before registration or volumetry; not for diagnosis."
)
LICENSE = "MIT"
CITATION = "Fisch et al. 2024, deepbet: Fast brain extraction of T1-weighted MRI using CNNs, arXiv:2308.07003."


def CHECKS(example, params, output):  # noqa: N802
    """Compare the mask with the brain of the template, by the Dice coefficient of their voxels.

    Parameters
    ----------
    example : pandas.DataFrame
    params : dict
    output : pandas.DataFrame
        Column ``output_uri``: the file:// URI of a mask of uint8, 0 or 1, in the template's 1 mm grid.

    Raises
    ------
    ValueError
        If it is below 0.974, the worst that the publication found.

    References
    ----------
    Fonov et al. 2011, doi:10.1016/j.neuroimage.2010.07.033: the template. Fisch et al. 2024: over 0.974 for
    each of 7837 images.
    """
    brain = nibabel.load(example["input_uri"][0]).get_fdata() > 0
    mask = nibabel.load(unquote(urlsplit(output["output_uri"][0]).path)).get_fdata() > 0
    dice = 2 * (mask & brain).sum() / (mask.sum() + brain.sum())
    if dice < 0.974:
        raise ValueError(f"expected the template's brain with a Dice coefficient of at least 0.974, got {dice:.3f}")
