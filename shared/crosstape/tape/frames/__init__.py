"""Makes DataFrames of events, for polars or pandas, with every digit.

frame → columns (which there are) → digits (which type holds them) → polars_frame, pandas_frame (the only modules that need a library)
"""

from crosstape.tape.frames.digits import Decimals
from crosstape.tape.frames.frame import Library, frame_of

__all__ = ["Decimals", "Library", "frame_of"]
