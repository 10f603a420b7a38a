"""Runcast for agents, over the Model Context Protocol (`docs/mcp.md`)."""
