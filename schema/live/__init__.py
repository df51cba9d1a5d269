"""Events on their way to clients: over websockets and over server-sent events."""
