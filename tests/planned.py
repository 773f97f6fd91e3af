"""The plan behind a command."""

from orchestrator.checks import Options, check, plan_study
from orchestrator.plan import Plan


def plan_for(options: Options) -> Plan:
    """Check a study's command and plan it, as the sweep command does."""
    checked = check(options)
    return plan_study(checked, checked.question, options)
