"""The settings of all services.

model              every setting with its default and its description
load               reads them: a TOML file, then the environment over it; finds all mistakes at once
environment        reads `CROSSTAPE_<SECTION>__<KEY>` variables
service_variables  recognises variables that a container platform sets, and that only look like ours
computed           checks the settings of bars, books, edges and composites against each other
mistakes           what such a check finds, before the loader says where it came from
secrets            reads a secret from a file of its own
words              describes settings in messages and in the reference
diff               finds what has changed between two readings
"""

from crosstape.settings.model import (
    FROM_ENVIRONMENT,
    HIDDEN,
    AggregatorSettings,
    Bps,
    BusSettings,
    CompositeSettings,
    ConnectorSettings,
    Count,
    GatewaySettings,
    MaxLen,
    NotNegative,
    Positive,
    PositiveDecimal,
    RecorderSettings,
    RunSettings,
    Secret,
    SecretUrl,
    Section,
    Settings,
    TelemetrySettings,
    VenueSettings,
    default_venues,
    hiding,
    shown,
)

__all__ = [
    "FROM_ENVIRONMENT",
    "HIDDEN",
    "AggregatorSettings",
    "Bps",
    "BusSettings",
    "CompositeSettings",
    "ConnectorSettings",
    "Count",
    "GatewaySettings",
    "MaxLen",
    "NotNegative",
    "Positive",
    "PositiveDecimal",
    "RecorderSettings",
    "RunSettings",
    "Secret",
    "SecretUrl",
    "Section",
    "Settings",
    "TelemetrySettings",
    "VenueSettings",
    "default_venues",
    "hiding",
    "shown",
]
