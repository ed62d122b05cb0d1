"""The bus: writes events to the tape and reads them, each exactly once, over any server that speaks the Redis protocol."""

from crosstape.bus.client.call import Client
from crosstape.bus.client.connect import connect
from crosstape.bus.metrics.hooks import PublisherMetrics, ReaderMetrics
from crosstape.bus.publish.publisher import Publisher
from crosstape.bus.read.continuity import Missed
from crosstape.bus.read.entry import Bookmark, Entry, Foreign, Position, Start
from crosstape.bus.read.reader import Reader

__all__ = [
    "Bookmark",
    "Client",
    "Entry",
    "Foreign",
    "Missed",
    "Position",
    "Publisher",
    "PublisherMetrics",
    "Reader",
    "ReaderMetrics",
    "Start",
    "connect",
]
