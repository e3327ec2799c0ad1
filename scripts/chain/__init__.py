"""The chain of models: what makes the engine scaffold, package, predict and verify."""
