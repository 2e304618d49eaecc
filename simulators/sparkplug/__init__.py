"""Simulated machines behind edge nodes that speak Sparkplug B."""
