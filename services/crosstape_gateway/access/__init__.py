"""Who may read, and how much: tokens, sessions, origins, limits."""
