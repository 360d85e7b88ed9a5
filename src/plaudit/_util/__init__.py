"""Small things that everything may use."""
