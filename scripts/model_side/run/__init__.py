"""Run a model: in a child, in a warm interpreter, in-process, or the author's code directly."""
