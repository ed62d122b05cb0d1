"""What an aggregator does to have all past trades of its windows: checkpoints, and catching up from the streams."""
