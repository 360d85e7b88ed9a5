"""What completes requests: the embedded model, endpoints, scripts, callables."""
