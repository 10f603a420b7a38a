"""Runtime observability: events and status that workers report, and what administrators see of them."""
