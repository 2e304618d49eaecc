"""The words every part of Muster shares: readings, devices, presence, quality, settings, errors.

No network and no database in this package, and no import of a sibling package.
"""

__version__ = "0.1.0"
