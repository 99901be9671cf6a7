"""The four vendors' dialects. Each module is pure: bytes in, `Decoded` and response bodies out."""
