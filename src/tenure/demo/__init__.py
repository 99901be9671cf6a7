"""A believable year of a B2B product's events, for `tenure demo`: generated, then taken in as real input is.

    account   who a customer is, and its life as a subscriber (`life`, `plans`)
    usage     what its people do in the product; `billing` and `support`: what its life makes systems send
    call      the above in the vendors' own wire form; `delivery` packs it into requests, faults included
    history   all of it in the order of receipt, decided by a seed and an end time alone
    filling   the requests through the dialects' own decoders into the journal and the warehouse
    command   `tenure demo`; `record` remembers what it made, `highlight` and `curls` are what it shows

Nothing here is random in the sense of unpredictable: everything is drawn from generators with a fixed seed.
"""
