"""The reading side: typed events of many streams, each once, in each stream's order."""
