"""How a run is recorded in files. Private: import from `runcast`."""
