"""Long work outside the page: tasks, and the queue that runs them."""

from soup_core.jobs.jobs import Job, Jobs, Progress
from soup_core.jobs.tasks import TASKS, Task, tasks
from soup_core.runtime.turns import LOOK_SECONDS

__all__ = ["LOOK_SECONDS", "TASKS", "Job", "Jobs", "Progress", "Task", "tasks"]
