"""The campaign behind `make prove`: kills, power cuts, faults and rot against a running server.

An outside ledger of acknowledgements decides.

Nothing here imports `tenure`: the server is a black box that is started as a user starts it, and talked to by HTTP.
"""
