"""An MLflow Model and its files: signature, requirements, manifest, declared data, settings."""
