"""The embedded engine on llama.cpp."""
