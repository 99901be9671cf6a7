"""How a customer is doing: signals, silence, and a score from 0 to 100 that explains itself. Pure."""
