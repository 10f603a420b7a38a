"""Periodic work: publishing what was missed, purging, partitions, queues."""
