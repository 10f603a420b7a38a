"""Many agents' sessions at once, simulated: they write what the agents write, and know the truth."""
