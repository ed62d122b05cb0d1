"""`crosstape schema`: prints the contract of the tape for programs in other languages."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from cyclopts import Parameter

from crosstape.errors import SettingsError
from crosstape_schemas.export import asyncapi as asyncapi_document
from crosstape_schemas.export import json_schema


def schema(
    *,
    asyncapi: Annotated[bool, Parameter(negative="", help="Print the AsyncAPI 3 document of all streams and channels instead.")] = False,
    openapi: Annotated[bool, Parameter(negative="", help="Print the OpenAPI 3.1 document of the gateway instead.")] = False,
) -> None:
    """Print the JSON Schema of all events."""
    if asyncapi and openapi:
        raise SettingsError("--asyncapi and --openapi: leave one out")
    if openapi:
        from crosstape_gateway.openapi import document as openapi_document  # noqa: PLC0415  # the others need no web server

        document = openapi_document()
    else:
        document = asyncapi_document() if asyncapi else json_schema()
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
