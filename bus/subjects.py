"""Names on the bus: the stream, its partitions, the key-value store and the request subjects.

A device's partition never changes, so its scans stay in order through any number of ingest workers.
"""

STREAM = "BATCHES"
STREAM_SUBJECTS = "batch.>"
CONFIG_BUCKET = "config"
LEASE_BUCKET = "leases"
PARTITIONS = 4
"""How many ways the stream is cut; a fixed property of an installation (DECISIONS)."""


def partition_of(device: int) -> int:
    """Return the partition of a device number."""
    return device % PARTITIONS


def batch(partition: int, gateway: int) -> str:
    """Return the subject on which a gateway publishes the batches of a partition."""
    return f"batch.{partition}.{gateway}"


def batches_of(partition: int) -> str:
    """Return the subject filter for all batches of a partition."""
    return f"batch.{partition}.>"


def device_key(gateway: int, device: int) -> str:
    """Return the key of a device's document in the configuration bucket."""
    return f"gateway.{gateway}.device.{device}"


def device_keys(gateway: int) -> str:
    """Return the filter for all device documents of a gateway."""
    return f"gateway.{gateway}.device.>"


def lease_key(gateway: int) -> str:
    """Return the key of a gateway process's lease in the bucket of leases."""
    return f"gateway.{gateway}"


def request(gateway: int, verb: str) -> str:
    """Return the subject on which a gateway answers `verb`, one of those in `gateway/requests.py`."""
    return f"gateway.{gateway}.request.{verb}"
