"""Render a model's package from a template, and keep it up to date without touching what its author wrote."""
