"""Where data lives: table client, keys, cursors, items, repositories."""
