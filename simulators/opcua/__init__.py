"""Simulated machines behind OPC UA servers."""

import logging

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it warns of what a simulator does on purpose
