"""Whole processes: what they cost, imports included, by turns, and an earlier commit of this project beside today's."""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEFORE = "87c5f9b"  # the commit that these measurements began from


@dataclass(frozen=True)
class Cost:
    """Of a process with its children: seconds of processor and of the clock, and the most gigabytes that it held itself."""

    processor: float
    wall: float
    peak: float


@dataclass(frozen=True)
class Command:
    """A command line to be run in a folder, with further settings in its environment.

    `before` is called ahead of each run, untimed: to take away what an earlier one left.
    """

    arguments: Sequence[str]
    folder: Path = ROOT
    settings: Mapping[str, str] | None = None
    before: Callable[[], object] | None = None

    def cost(self) -> Cost:
        """Run it once to its end. Raises SystemExit with what it said where it fails."""
        if self.before:
            self.before()
        environment = {**os.environ, "PYTHONPATH": str(self.folder), **(self.settings or {})}
        with tempfile.TemporaryFile() as said:
            start = time.perf_counter()
            process = subprocess.Popen(
                self.arguments, cwd=self.folder, env=environment, stdout=said, stderr=subprocess.STDOUT
            )
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - start
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                said.seek(0)
                raise SystemExit(f"{' '.join(self.arguments)}: {said.read().decode(errors='replace')[-2000:]}")
        return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024 / 1e9)


def python(
    *arguments: str,
    folder: Path = ROOT,
    settings: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
) -> Command:
    """A command line of this Python; the rest as for Command."""
    return Command([sys.executable, *arguments], folder, settings, before)


def by_turns(repeats: int, *commands: Command, warm: bool = True) -> list[Cost]:
    """Each command's median costs, where one follows the other in every round; a round before is not counted."""
    if warm:
        for command in commands:
            command.cost()
    rounds = [[command.cost() for command in commands] for _ in range(repeats)]
    return [
        Cost(*(statistics.median(getattr(cost, name) for cost in costs) for name in ("processor", "wall", "peak")))
        for costs in zip(*rounds, strict=True)
    ]


def tree_processor_seconds(pid: int) -> float:
    """Seconds of processor that a living process and all below it have taken so far; ended children count once waited for."""
    parents: dict[int, list[int]] = {}
    spent: dict[int, float] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            parents.setdefault(int(fields[1]), []).append(int(entry.name))
            spent[int(entry.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    waiting, total = [pid], 0.0
    while waiting:
        each = waiting.pop()
        total += spent.get(each, 0.0)
        waiting += parents.get(each, [])
    return total


@contextmanager
def at_commit(commit: str = BEFORE) -> Iterator[Path]:
    """A folder with this project as it was at a commit, of the same Python and packages; removed at the end.

    Raises SystemExit where this is no git checkout that knows the commit.
    """
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "then"
        archive = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
        if archive.returncode:
            raise SystemExit(f"benchmarks need git and the commit {commit}: {archive.stderr.decode(errors='replace')}")
        folder.mkdir()
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)
