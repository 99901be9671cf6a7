"""Subscriptions: facts about them, their states, and the MRR, movements and spells that follow. Pure."""
