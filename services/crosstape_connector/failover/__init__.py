"""Hot standby: several connectors of one venue, of which one publishes at a time."""
