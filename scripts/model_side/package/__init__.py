"""Save a package as an MLflow Model: flags, example, spec, model class, what travels, artifacts."""
