"""The demo fleet: who is where, and what happens there each second."""
