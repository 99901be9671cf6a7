"""The control database: apps, their keys, and the links between identifiers. SQLite, or PostgreSQL."""
