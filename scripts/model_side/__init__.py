"""What runs in a model's interpreter: standard library, mlflow, numpy and pandas only."""
