"""What every binary COPY has in common (PostgreSQL documentation, COPY, "Binary Format")."""

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER = b"\xff\xff"
EPOCH_US = 946_684_800_000_000
"""PostgreSQL counts time from 2000-01-01 UTC."""
