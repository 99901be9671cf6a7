"""The write path: a request is authenticated, read, decoded, put on disk and answered.

It waits for no warehouse: that is asked, for a moment, only whether what came is a duplicate.
"""
