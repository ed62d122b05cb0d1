"""HTX as it is simulated: spot and USDT-margined perpetuals, on shared code."""
