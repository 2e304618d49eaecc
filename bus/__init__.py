"""The road between processes: NATS JetStream, subjects, batch envelope, request/reply, credentials."""
