"""Engines that speak the API of OpenAI."""
