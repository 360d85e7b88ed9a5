"""`plaudit view`: a local viewer of runs, verdicts, traces and pairs."""
