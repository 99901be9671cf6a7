"""Questions about customers and their events, each answered for one app."""
