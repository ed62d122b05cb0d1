"""The dashboard: files that the browser loads as they are, and how they are served.

files.py  serves them, with the Content-Security-Policy that they need
static/   index.html, style sheets and ES modules; `static/README.md` says which module does what
vendor/   the chart library, unchanged
"""

from crosstape_gateway.page.files import routes

__all__ = ["routes"]
