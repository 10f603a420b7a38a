"""What is about HTTP and no domain: bodies, responses, problems, pages, idempotency keys."""
