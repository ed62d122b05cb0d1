"""What the bus counts."""
