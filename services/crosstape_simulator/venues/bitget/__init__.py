"""Bitget: spot and contracts, as generation v2 of its sockets and REST has them, and liquidations as v3 has them."""
