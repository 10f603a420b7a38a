"""The hub: rooms, subscribers, Server-Sent Events."""
