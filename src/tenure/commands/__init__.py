"""The commands of `tenure app` and `tenure key`."""
