"""Subscriptions: facts about them, their states, and the MRR, movements and spells that follow. Pure."""

from typing import Final

READING: Final = 7
"""The version of how stored events are read as facts (`sources`): raise it when that changes. What an older release
read is then read again when the loader starts."""
FOLDING: Final = 8
"""The version of what facts come to: raise it when that changes. Ledgers of an older release are then made anew."""
