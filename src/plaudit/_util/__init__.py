"""Small parts that every layer may use."""
