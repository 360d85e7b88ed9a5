"""Requests on their way to an engine: concurrency, rates, quotas, outages and prices."""
