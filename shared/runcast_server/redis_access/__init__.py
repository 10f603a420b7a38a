"""How the servers reach Redis: one server, a cluster, or what sentinels name, each by its URL."""
