"""The console's search box. `query` lists what a text may be, `results` finds the rows.

A search text may be personal: it is sent in request bodies, never in addresses, and is never logged.
"""

from invoices.search.query import Candidate, Kind, read_query
from invoices.search.results import Hit, SearchResults, hits, run_search

__all__ = ["Candidate", "Hit", "Kind", "SearchResults", "hits", "read_query", "run_search"]
