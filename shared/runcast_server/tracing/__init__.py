"""Traces of what the servers do, by OpenTelemetry, where `RUNCAST_TRACES_URL` is set."""
