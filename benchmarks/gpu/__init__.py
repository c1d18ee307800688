"""Instruments that need a GPU."""
