"""How much each caller may have: points, places and seats."""
