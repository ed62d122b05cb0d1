"""A venue's server: HTTP, WebSockets, subscriptions and rate limits. It knows no venue's format."""
