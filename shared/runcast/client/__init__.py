"""The clients: the whole REST API and the streams, blocking (`Client`) or not (`AsyncClient`)."""

from runcast.client.clients import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]
