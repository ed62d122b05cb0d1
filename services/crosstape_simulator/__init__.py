"""Venues on loopback: a seeded synthetic market or a recording, spoken in the venues' own protocols. Offline, for demos and tests."""
