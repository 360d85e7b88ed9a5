"""Style and script of the viewer."""
