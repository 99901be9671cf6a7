"""Tenure: self-hosted event tracking for customer retention."""

__version__ = "0.1.0"
