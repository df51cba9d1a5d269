"""Servers of the same part of the schema, over the same table, as others would write them."""
