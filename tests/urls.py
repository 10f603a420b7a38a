"""Addresses of databases."""

from urllib.parse import urlsplit, urlunsplit


def in_database(url: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
