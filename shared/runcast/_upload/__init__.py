"""How recorded runs reach a server. Private: import from `runcast`."""
