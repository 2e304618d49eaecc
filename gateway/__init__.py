"""Field to bus: sessions to equipment, scans from them, a durable outbox, signed batches. No database."""
