"""Rows in and out: sources, sinks, tables, half-written outputs, progress."""
