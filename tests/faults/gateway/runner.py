"""Runs a real gateway process that has the counting room beside its own."""

import sys
from pathlib import Path

import gateway.adapters
from deploy.process import main

if __name__ == "__main__":
    gateway.adapters.__path__.append(str(Path(__file__).parent / "rooms"))
    sys.exit(main())
