"""Bring declared bytes into a package's model_data/, once: sources, transfer, cache, archives."""
