"""A document on its way: found, parsed, validated, run, and told of."""
