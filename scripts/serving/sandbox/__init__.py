"""Run a model confined: without a network, without files but its own, and watched."""
