"""The check's verdict in the forms that CI systems read: SARIF, JUnit, GitHub's commands."""

from hexplan.report.finding import Finding, Place, Verdict
from hexplan.report.forms import FORMS, Form, verdicts_as
from hexplan.report.places import PlaceFinder

__all__ = ["FORMS", "Finding", "Form", "Place", "PlaceFinder", "Verdict", "verdicts_as"]
