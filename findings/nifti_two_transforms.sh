#!/usr/bin/env bash
# One NIfTI image lies in two places, by the reader that one asks.
#
# Versions:  nibabel 5.4.2, SimpleITK 2.5.7, numpy 2.4.6, Python 3.11
# Behaviour: a header may hold two transforms, qform and sform. nibabel takes the sform wherever its code is not 0. SimpleITK takes the
#            sform where its code is 1 (scanner), and the qform where the sform's is 2 (aligned) or 4 (MNI) and there is a qform.
# Why it matters: an image that was registered to a template keeps the scanner's qform beside the new sform: masks and coordinates of a
#            model are then off by the registration, though both libraries read the same voxels.
# Output seen (origin in mm, both turned to the axes of nibabel):
#   qform 1, sform 1: nibabel [-5, 0, 0], SimpleITK [-5, 0, 0]
#   qform 1, sform 2: nibabel [-5, 0, 0], SimpleITK [10, 20, 30]
#   qform 1, sform 4: nibabel [-5, 0, 0], SimpleITK [10, 20, 30]
#   qform 0, sform 4: nibabel [-5, 0, 0], SimpleITK [-5, 0, 0]
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python nibabel==5.4.2 SimpleITK==2.5.7 numpy==2.4.6
venv/bin/python - <<'PYTHON' | tee seen
import nibabel
import numpy as np
import SimpleITK

def affine(*origin):
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = origin
    return matrix

image = nibabel.Nifti1Image(np.zeros((2, 3, 4), np.int16), None)
for qform, sform in ((1, 1), (1, 2), (1, 4), (0, 4)):
    image.set_qform(affine(10, 20, 30), qform)
    image.set_sform(affine(-5, 0, 0), sform)
    nibabel.save(image, "image.nii")
    one = [round(value) for value in nibabel.load("image.nii").affine[:3, 3]]
    x, y, z = SimpleITK.ReadImage("image.nii").GetOrigin()
    print(f"qform {qform}, sform {sform}: nibabel {one}, SimpleITK {[round(-x), round(-y), round(z)]}")
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
qform 1, sform 1: nibabel [-5, 0, 0], SimpleITK [-5, 0, 0]
qform 1, sform 2: nibabel [-5, 0, 0], SimpleITK [10, 20, 30]
qform 1, sform 4: nibabel [-5, 0, 0], SimpleITK [10, 20, 30]
qform 0, sform 4: nibabel [-5, 0, 0], SimpleITK [-5, 0, 0]
EXPECTED
