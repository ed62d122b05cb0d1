"""Restores the windows after a start: from checkpoints, and by reading past trades from the streams."""
