"""Files of torch.save read, or turned into safetensors, without unpickling, by the standard library alone, in another process.

Nothing here imports torch or the rest of the core: the process that reads a file starts in milliseconds, and knows
nothing that a file could make it call. `process.py` is that process, `reader.py` outside is the side that asks it.
"""

BROKE_OUT = 97  # the exit status of a reader that tried something else than to read and to write
WHOLE = "."  # how the outermost table of a file is called where parts of it could be meant
FILES_AT_MOST = 250  # of one checkpoint: a message takes 253 descriptors
TIMES_AT_MOST = 4  # as many bytes as the file's are its tensors', where some share theirs
MESSAGE_BYTES = 1 << 16
TABLE_BYTES_AT_MOST = 25_000_000  # that say where a file's tensors lie, as a header of safetensors
