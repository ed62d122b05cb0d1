"""The dashboard's row about gateways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from docs.panel import Panel, counted, per_second, quantile

GATEWAYS: Final[tuple[str, Sequence[Panel]]] = (
    "Gateways",
    (
        Panel(
            "Streaming clients",
            "By gateway and transport, and how many a gateway may have. GatewayNearlyFull fires at 80 %.",
            "short",
            [
                ('sum by (service, transport) (crosstape_gateway_clients{tape="$tape"})', "{{service}} {{transport}}"),
                ('max by (service) (crosstape_gateway_clients_limit{tape="$tape"})', "{{service}} limit"),
            ],
        ),
        Panel(
            "To clients",
            "Events and messages sent, a second, by transport: one sent to ten clients counts ten times.",
            "short",
            [(per_second("crosstape_gateway_deliveries_total", "transport"), "{{transport}}")],
        ),
        Panel(
            "Bytes to clients",
            "Sent to streaming clients, a second, by transport.",
            "Bps",
            [(per_second("crosstape_gateway_bytes_total", "transport"), "{{transport}}")],
        ),
        Panel(
            "Connector → client",
            "From the connector's receipt to sending to clients, the time of gathering included; of the oldest event of each write.",
            "s",
            [
                (quantile("0.5", "crosstape_gateway_lag_seconds"), "median"),
                (quantile("0.99", "crosstape_gateway_lag_seconds"), "99 %"),
            ],
        ),
        Panel(
            "Slow clients",
            "In each interval: clients cut because they read nothing, events that clients were told they miss, states that a newer one"
            " replaced first. GatewayCutsClients fires at 10 cut within 15 minutes.",
            "short",
            [
                (counted("crosstape_gateway_cut_clients_total", "service"), "{{service}} cut"),
                (counted("crosstape_gateway_missed_total", "service, reason"), "{{service}} missed: {{reason}}"),
                (counted("crosstape_gateway_conflated_total", "service"), "{{service}} replaced"),
            ],
            shape="bars",
        ),
        Panel(
            "Refused",
            "Requests that were refused in each interval, by the code in the answer.",
            "short",
            [(counted("crosstape_gateway_refused_total", "service, code"), "{{service}} {{code}}")],
            shape="bars",
            no_value="none refused",
        ),
    ),
)
