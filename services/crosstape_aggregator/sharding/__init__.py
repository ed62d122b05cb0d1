"""Divides the instruments into shards, and the shards among the running aggregators (instances).

- `assignment`: which leases one instance acquires, keeps and releases; defines `Shard`
- `coordinator`: starts and stops the service of each shard as the leases of this instance change
- `sign_of_life`: the status that each shard publishes about every second, so that readers know that its quotes are current
"""
