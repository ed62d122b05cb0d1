"""Decides which process may write: a lone producer by its epoch, replicas by leases.

fencing  claims a producer's name for a new epoch; the server refuses writers with an older one
table    the leases of a service on the server: one call renews, takes, releases and shows them
elector  repeats that call, and starts and stops what depends on each lease
"""
