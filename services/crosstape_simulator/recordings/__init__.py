"""Recordings (capture files) that are played instead of a synthetic market."""
