"""Events on disk while the server is away."""
