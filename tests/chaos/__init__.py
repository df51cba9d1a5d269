"""Customers and listeners of a shop whose every part fails; not one of the quick tests."""
