"""From the engine to the bus: when quotes are computed and published, and which windows can be called complete then."""
