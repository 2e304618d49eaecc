"""Bus to database: decodes, stores exactly once, keeps presence."""
