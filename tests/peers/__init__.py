"""Peers from npm: programs that nobody here wrote, installed with the Node that the environment brings."""
