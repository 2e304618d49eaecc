"""The device book: what is registered, imported and exported, and told to gateways.

`load` a document, `check` it beside what is registered, `apply` it; `export` writes one.
"""

from services.ledger.checks import check
from services.ledger.document import Book
from services.ledger.edit import record_decision
from services.ledger.export import export
from services.ledger.files import Format, load
from services.ledger.problems import Change, Counts, Problem, Report
from services.ledger.registered import Registered, enter, read_registered
from services.ledger.templates import template
from services.ledger.writer import apply

__all__ = [
    "Book",
    "Change",
    "Counts",
    "Format",
    "Problem",
    "Registered",
    "Report",
    "apply",
    "check",
    "enter",
    "export",
    "load",
    "read_registered",
    "record_decision",
    "template",
]
