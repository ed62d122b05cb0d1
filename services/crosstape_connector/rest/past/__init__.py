"""Fetches the past of a venue for any range: pure pagers say what to ask for next, `fetcher` asks."""
