"""The tailer: follows log files and ships their lines."""
