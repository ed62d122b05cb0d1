"""Who may write: fencing of older producers, and the table of leases."""
