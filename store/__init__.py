"""The database: connection, numbered SQL migrations, roll-ups, retention."""
