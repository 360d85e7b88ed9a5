"""Streaming runs over files: sources, the store, sinks."""
