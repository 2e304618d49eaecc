"""Database to people: HTTP, authentication, problem details, live streams."""
