"""The database: connection, numbered SQL migrations, partitions, roll-ups, retention and the disk budget."""
