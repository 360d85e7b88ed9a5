"""From an engine URI to an engine."""
