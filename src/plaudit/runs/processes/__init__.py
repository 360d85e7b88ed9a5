"""A run on several cores: one process reads and writes, and worker processes judge."""
