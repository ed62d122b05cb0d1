"""Restores windows and bars after a start, from a checkpoint and from past trades on the streams. Writes the next checkpoints.

- `discovery`: finds the streams on the bus
- `plan`: from which id to read each stream, and when its past has been read
- `catch_up`: reads the past of the streams, and passes each stream on to the live reader
- `taped_bars`: reads which closed bars are on the tape already
- `checkpoint`: encodes and decodes the windows of one instrument, `bars_checkpoint` its bars
- `checkpoint_store`: reads and writes the checkpoint of one shard on the server
- `checkpointer`: writes a checkpoint every few seconds
- `restorer`: restores the instruments from the checkpoint after a start
- `barrier`: makes checkpoints wait while events are only partly applied
- `predecessor`: publishes the gaps between the last quotes of the previous owner of the shard and ours
"""
