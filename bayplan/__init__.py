"""bayplan: a container orchestrator with a service registry."""

__version__ = "0.1.0"
