"""Writes the raw frames of a venue to files (captures), and reads them."""
