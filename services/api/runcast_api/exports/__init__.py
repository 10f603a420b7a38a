"""A run or a project as one file: NDJSON, Parquet or zip, written while it is sent."""
