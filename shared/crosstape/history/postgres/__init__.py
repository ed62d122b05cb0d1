"""The history in PostgreSQL: one partitioned table for each kind of event, in a schema of its own.

address      where the server is, without its password in any text
connections  a bounded pool of connections; what goes wrong is a `HistoryError`
layout       names and definitions of the tables (pure)
tables       makes tables and partitions as they are needed, and drops old ones
copying      a batch as the text that COPY takes (pure)
selecting    the SQL of rows (pure)
candles      the SQL of candles computed from trades (pure)
checking     what is wrong in a history
store        the store
"""
