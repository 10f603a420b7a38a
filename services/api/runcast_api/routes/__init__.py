"""The HTTP surface: each file the routes of one noun. An endpoint authorizes, calls its domain function
and answers."""
