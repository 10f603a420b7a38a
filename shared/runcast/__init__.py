"""Runcast, the public package: SDK, CLI and the contract they share."""
