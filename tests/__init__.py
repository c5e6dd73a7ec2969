"""The tests; what must be set before torch is loaded, by this process and by those that it starts."""

import os
from pathlib import Path

# Threads that wait for each other spin, by default: beside other load, two of them take ten times what one takes.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

ROOT = Path(__file__).resolve().parent.parent
