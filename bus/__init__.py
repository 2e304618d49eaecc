"""The road between processes: NATS JetStream connection, subjects, batch envelope, request/reply, credentials."""
