"""Repairing what is in quarantine: rules that change an element, and its way through its dialect again. Pure."""
