"""Prove a model: routes, trials, checks."""
