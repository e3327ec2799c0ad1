"""The model as its receiver runs it: the rebuilt environment, `mlflow models predict`, `mlflow models serve`."""
