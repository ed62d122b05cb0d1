"""Exports the metrics of an aggregator."""
