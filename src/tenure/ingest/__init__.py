"""The write path: a request is authenticated, read, decoded, put on disk and answered. No warehouse here."""
