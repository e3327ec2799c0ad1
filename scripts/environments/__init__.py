"""Model environments, made with uv."""
