"""Order books: built from a snapshot and updates, and checked by the venue's numbers and checksums. Pure.

- `book_feeds`, `book_feed`: the feeds that books give, and what is published of them
- `order_book`: one book, built by the steps below
- `levels`, `ladder`: both sides of a book; one side
- `known_range`: how far a book is known behind its best prices, and how many levels its snapshot should have
- `numbering`, `checks`: the numbers of the updates; the results of all checks
- `update_buffer`, `snapshot_need`: updates that wait for a snapshot; which snapshot is needed
- `probe`: compares a silent book with one by REST
- `state`: the states of a book and of its request

A venue whose snapshots come by REST, step by step as Binance documents it (`order_book` cites these numbers):

1. Subscribe the updates.
2. Buffer the updates; note the first number of the first one.
3. Get a snapshot by REST.
4. If the snapshot is older than the first buffered update, get another one.
5. Drop the buffered updates that are in the snapshot already. The first that is left must span the snapshot's number.
6. The book is the snapshot.
7. Apply the buffered updates, then all that follow. An update that is in the book already is skipped; one that begins after the book's
   number shows a gap: start again at 2. A size is absolute, zero removes the level.

A venue whose stream begins with a snapshot sends it after 1: the book is the snapshot (6), then all updates are applied (7). If they are
numbered, those that came before it are kept, and the first after its number must follow it (5). The book is cut to the subscribed depth
where the venue leaves that to us, and checked by the checksum where there is one.
"""
