"""What the tests share: made-up items, and a shop over an open store to ask questions of."""
