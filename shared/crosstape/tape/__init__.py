"""The reading side for programs: `Tape`, and what stands on it."""
