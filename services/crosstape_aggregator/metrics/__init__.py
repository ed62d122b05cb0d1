"""What an aggregator exports."""
