"""The model's own code; it travels in the MLflow Model as code/model_code."""
