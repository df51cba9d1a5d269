"""What those who run the shop do to its tables: make, look, count, copy, archive."""
