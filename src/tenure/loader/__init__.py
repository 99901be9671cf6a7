"""From the journal into the warehouse: exactly once to read, in large blocks."""
