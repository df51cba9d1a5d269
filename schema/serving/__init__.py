"""The server that the application runs on, and its connections."""
