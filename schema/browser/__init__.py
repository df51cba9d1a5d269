"""Pages for browsers: the explorer, and the outbox of development."""
