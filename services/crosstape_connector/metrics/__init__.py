"""What a connector counts and exports."""
