"""The dashboard: files that the browser loads as they are, and how they are served."""
