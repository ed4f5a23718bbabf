"""What the commands print: tables for a person, or one JSON object."""

from dpm_ppl.app.console.tables import print_scores

__all__ = ["print_scores"]
