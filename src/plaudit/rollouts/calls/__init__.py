"""Tool calls that a model wrote as text: reading them, and telling a model how to write them."""
