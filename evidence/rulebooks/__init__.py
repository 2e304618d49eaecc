"""Programmes as data: one TOML file each, found by looking."""

from evidence.rulebooks.rulebook import Rulebook, rulebooks

__all__ = ["Rulebook", "rulebooks"]
