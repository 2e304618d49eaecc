"""Rulebooks and counting."""
