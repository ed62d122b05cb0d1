"""Who may read, and how much: tokens, sessions, origins, limits.

start           what the settings must not open
tokens          the file of tokens, and who holds one
sessions        cookies of browsers
session_routes  /api/session: signing in and out
origins         hosts and origins of browsers
limits          requests and streams of each address
connections     closes those that ask for nothing
access          decides for each request
passage         what each request passes
failures        errors as JSON
headers         headers of every answer
server_log      what aiohttp must not log
"""

from crosstape_gateway.access.start import check_access

__all__ = ["check_access"]
