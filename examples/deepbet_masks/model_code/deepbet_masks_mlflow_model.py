"""deepbet_masks as an MLflow Model: magnetic resonance images of heads in, masks of their brains out."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import nibabel
from deepbet.bet import BrainExtraction

from . import FileUriToFile


class DeepbetMasksMLflowModel(FileUriToFile):
    """Find the brain with the code of deepbet's authors."""

    SUFFIX = ".mask.nii"

    def load_context(self, context):
        """Load both networks.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.artifacts["networks"]`` is a directory with model.pt and bbox_model.pt, TorchScript.
        """
        networks = Path(context.artifacts["networks"])
        self.extraction = BrainExtraction(
            model_path=str(networks / "model.pt"), bbox_model_path=str(networks / "bbox_model.pt")
        )

    def _get_input(self, uri: str, **params: Any) -> nibabel.Nifti1Image:
        """Read one image.

        Parameters
        ----------
        uri : str
            Local path of a NIfTI file: T1-weighted, of one head, in any unit and orientation.

        Returns
        -------
        nibabel.Nifti1Image
        """
        return nibabel.load(uri)

    def _forward(self, input_obj: nibabel.Nifti1Image, output_path: str, **params: Any) -> None:
        """Write the mask of one brain.

        Parameters
        ----------
        input_obj : nibabel.Nifti1Image
        output_path : str
            The NIfTI file to write: uint8, 1 in the brain and 0 elsewhere, in the image's own grid.
        """
        # BrainExtraction keeps the box around the last head: each request has one of its own, with the same networks.
        copy.copy(self.extraction).run(input_obj, mask_path=output_path)
