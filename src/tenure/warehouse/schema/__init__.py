"""The warehouse's tables, as numbered SQL files."""
