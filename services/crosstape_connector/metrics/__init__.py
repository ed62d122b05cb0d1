"""The metrics of a connector.

- `counters`: plain numbers, counted on the hot path
- `families`: name, type, help text and labels of each metric
- `collector`: exports counters and gauges to Prometheus
"""
