"""minilm_sentences as an MLflow Model: texts in, an embedding for each out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import tokenizers

from . import TextToTensor


class MinilmSentencesMLflowModel(TextToTensor):
    """Embed texts with all-MiniLM-L6-v2."""

    def load_context(self, context):
        """Load the network and its tokenizer.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            ``context.artifacts["encoder"]`` is a directory with model.onnx and tokenizer.json.
        """
        encoder = Path(context.artifacts["encoder"])
        self.tokenizer = tokenizers.Tokenizer.from_file(str(encoder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.session = onnxruntime.InferenceSession(encoder / "model.onnx", providers=["CPUExecutionProvider"])

    def _get_input(self, texts: list[str], **params: Any) -> list[tokenizers.Encoding]:
        """Split texts into tokens.

        Parameters
        ----------
        texts : list of str

        Returns
        -------
        list of tokenizers.Encoding
            Of at most 128 tokens each, as the model was trained.
        """
        return self.tokenizer.encode_batch(texts)

    def _forward(self, input_obj: list[tokenizers.Encoding], **params: Any) -> np.ndarray:
        """Embed each text, alone: the network scales what it rounds to 8 bits by all that it sees at once.

        Parameters
        ----------
        input_obj : list of tokenizers.Encoding

        Returns
        -------
        ndarray of float32, shape (n_texts, 384)
            Mean of the tokens' states, scaled to length 1; dimensionless.
        """
        return np.stack([self._embed(np.array([text.ids])) for text in input_obj])

    def _embed(self, ids: np.ndarray) -> np.ndarray:
        """Embed one text.

        Parameters
        ----------
        ids : ndarray of int64, shape (1, n_tokens)

        Returns
        -------
        ndarray of float32, shape (384,)
        """
        feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        mean = self.session.run(None, feed)[0][0].mean(axis=0)
        return mean / np.linalg.norm(mean)
