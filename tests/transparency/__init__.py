"""Is a command under `runcast exec` the command? Programs and kinds of stdio, compared with it alone."""
