"""The hacking watch: probes whose right value is known, scored beside the traffic."""
