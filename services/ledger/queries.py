"""The SQL of the device book, by name."""

from store.queries import load

QUERIES = load("services.ledger", "queries.sql")
