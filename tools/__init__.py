"""Tools for working on Runcast: prose lint, releases, distributions. Run them as `python -m tools.NAME`."""
