"""What follows a write: the table's stream is read, and each change has its consequences."""
