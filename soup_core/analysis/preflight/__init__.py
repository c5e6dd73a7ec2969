"""Will it soup? What can be known before averaging, and what explains a soup that failed."""

from soup_core.analysis.preflight.checks import preflight_checks
from soup_core.analysis.preflight.diagnosis import diagnose
from soup_core.analysis.preflight.finding import CAUSES, Finding, overall

__all__ = ["CAUSES", "Finding", "diagnose", "overall", "preflight_checks"]
