"""Agents as they are: what is known of the programs whose sessions become runs."""
