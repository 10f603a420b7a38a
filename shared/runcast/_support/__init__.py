"""What the other packages of the SDK stand on. Private: import from `runcast`."""
