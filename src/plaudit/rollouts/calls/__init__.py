"""Tool calls that a model wrote as text: reading them, and showing a model how to write them."""
