"""`runcast doctor --server`: whether Postgres and Redis are set up so that the servers can work."""
