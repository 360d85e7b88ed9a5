"""HTTP under the engines: transport, connections, errors."""
