"""From a trainer into a zoo: a finished run's weights become an ingredient, with all that a zoo must know of it.

A loop of one's own uses `recorded_run` or `record_run`; `callbacks.lightning` and `callbacks.transformers` each hold a
SoupCallback for their Trainer, and are imported only by who uses them.
"""

from soup_core.callbacks.runs import BegunRun, begin_run, record_run, recorded_run

__all__ = ["BegunRun", "begin_run", "record_run", "recorded_run"]
