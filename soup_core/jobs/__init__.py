"""Long work outside the page: tasks, and the queue that runs them."""

from soup_core.jobs.jobs import LOOK_SECONDS, Job, Jobs, Progress
from soup_core.jobs.tasks import TASKS, Task, tasks

__all__ = ["LOOK_SECONDS", "TASKS", "Job", "Jobs", "Progress", "Task", "tasks"]
