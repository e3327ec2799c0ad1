"""silero_vad as an MLflow Model: recordings in, where people speak in them out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from . import TensorToTensor

RATE, WINDOW, CONTEXT = 16000, 512, 64  # Hz, and samples


class SileroVadMLflowModel(TensorToTensor):
    """Follow recordings with a recurrent network, 32 ms at a time."""

    def load_context(self, context):
        """Load the network.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.artifacts["network"]`` is an ONNX file.
        """
        self.session = onnxruntime.InferenceSession(context.artifacts["network"], providers=["CPUExecutionProvider"])

    def _get_input(self, tensor: np.ndarray, **params: Any) -> np.ndarray:
        """Cut recordings into windows; what is left at the end is not looked at.

        Parameters
        ----------
        tensor : ndarray of float32, shape (n_recordings, n_samples)
            16 kHz, mono, as fractions of full scale, -1 to 1.

        Returns
        -------
        ndarray of float32, shape (n_windows, n_recordings, 512)

        Raises
        ------
        ValueError
            If a recording is shorter than a window.
        """
        recordings, samples = tensor.shape
        if samples < WINDOW:
            raise ValueError(f"expected at least {WINDOW} samples, {WINDOW / RATE * 1000:.0f} ms, got {samples}")
        whole = tensor[:, : samples // WINDOW * WINDOW]
        return whole.reshape(recordings, -1, WINDOW).swapaxes(0, 1)

    def _forward(self, input_obj: np.ndarray, **params: Any) -> np.ndarray:
        """Give the probability of speech in each window; the network also sees the end of the window before.

        Parameters
        ----------
        input_obj : ndarray of float32, shape (n_windows, n_recordings, 512)

        Returns
        -------
        ndarray of float32, shape (n_recordings, n_windows)
            Probability of speech, 0 to 1.
        """
        recordings, probabilities = input_obj.shape[1], []
        state = np.zeros((2, recordings, 128), dtype="float32")
        before = np.zeros((recordings, CONTEXT), dtype="float32")
        for window in input_obj:
            feed = {"input": np.concatenate([before, window], axis=1), "state": state, "sr": np.array(RATE)}
            probability, state = self.session.run(None, feed)
            before = window[:, -CONTEXT:]
            probabilities.append(probability)
        return np.concatenate(probabilities, axis=1)
