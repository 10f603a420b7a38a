"""How services are started, run and stopped."""
