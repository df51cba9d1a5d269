"""Believable data for a shop: as much as is asked for, and a little for the embedded store."""
