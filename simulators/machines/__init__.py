"""Physics of simulated machines: every machine of one kind at once, as numpy vectors."""
