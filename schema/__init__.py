"""What clients see: types, inputs, roots, connections, limits, HTTP rules."""
