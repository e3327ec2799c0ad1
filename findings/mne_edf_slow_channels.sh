#!/usr/bin/env bash
# MNE makes up samples of the slower channels of an EDF file, with values that were never measured.
#
# Versions:  mne 1.13.2, pyedflib 0.1.42, numpy 2.4.6, Python 3.11
# Behaviour: channels of an EDF file have rates of their own. MNE resamples all to the fastest, by Fourier transform: a
#            temperature of 20, then 37 degrees becomes a curve that falls below 20 and rises over 37 at each step.
#            No warning is given. pyedflib returns each channel as it was recorded.
# Why it matters: sleep recordings hold EEG at 256 Hz beside temperature or oxygen at 1 Hz. An oxygen saturation over 100 %, or a
#            hypnogram stage between two stages, is what a model then gets.
# Output seen:
#   pyedflib: 10 samples, from 20.0 to 37.0
#   MNE: 2560 samples, from 17.9 to 39.1
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT; cd "$work"
uv venv --quiet --python 3.11 venv
uv pip install --quiet --python venv/bin/python mne==1.13.2 pyedflib==0.1.42 numpy==2.4.6
venv/bin/python - <<'PYTHON' 2>&1 | tee seen
import warnings
import mne, numpy as np, pyedflib

warnings.simplefilter("error")


def header(label, dimension, rate):
    ranges = {"physical_min": -100.0, "physical_max": 100.0, "digital_min": -32768, "digital_max": 32767}
    return {"label": label, "dimension": dimension, "sample_frequency": rate, "transducer": "", "prefilter": "", **ranges}


writer = pyedflib.EdfWriter("night.edf", 2, file_type=pyedflib.FILETYPE_EDF)
writer.setSignalHeaders([header("EEG Fpz-Cz", "uV", 256), header("Temp rectal", "degC", 1)])
writer.writeSamples([50 * np.sin(np.arange(2560) / 9), np.repeat([20.0, 37.0], 5)])
writer.close()
with pyedflib.EdfReader("night.edf") as reader:
    slow = reader.readSignal(1)
print(f"pyedflib: {slow.size} samples, from {slow.min():.1f} to {slow.max():.1f}")
slow = mne.io.read_raw_edf("night.edf", verbose="warning").get_data(picks="Temp rectal")
print(f"MNE: {slow.size} samples, from {slow.min():.1f} to {slow.max():.1f}")
PYTHON
diff seen - <<'EXPECTED' && echo "as described above"
pyedflib: 10 samples, from 20.0 to 37.0
MNE: 2560 samples, from 17.9 to 39.1
EXPECTED
