"""Agents that answer questions with tools, and rewards that read what they did."""
