"""Commands for those who run the service, a module each: its arguments, and its work."""
