"""Templates of the viewer."""
