"""What agents print when they run without a terminal: records as JSON, one a line, in a dialect of each."""
