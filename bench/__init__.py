"""Benchmarks: `make bench` runs them all and prints one table. Timings are reported, never asserted."""
