"""BingX as it is simulated: spot and perpetuals, on shared code."""
