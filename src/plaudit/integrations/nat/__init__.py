"""NVIDIA NeMo Agent Toolkit: pairs of its runs as trajectories, and their way to NeMo Customizer.

The toolkit finds `register` by its entry point; nothing else imports it.
"""
