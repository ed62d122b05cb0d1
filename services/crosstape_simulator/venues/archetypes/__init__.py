"""What venues have in common: how books are sent, numbered and checked, and how requests are answered.

A venue's own file writes its frames; sequencing, gathering, snapshots, checksums and acknowledgements are here, once:

- numbered deltas after a REST snapshot: `DeltaChannel` and `KeptSnapshots`
- numbered deltas after a snapshot on the stream: `DeltaChannel` with `first`
- numbers over the complete connection: `NumberedFeed`
- a checksum over a window of best levels: `WindowChannel`
- complete snapshots only: `BookChannel`
"""
