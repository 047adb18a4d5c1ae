"""One box for all that an operator may hold in their hand. `asked` tells what it may be, `found` looks it up.

What is looked for may be personal: it travels in bodies, never in addresses, and no log line repeats it.
"""

from invoices.search.asked import Kind, Look, looks
from invoices.search.found import Found, Hit, find, hits

__all__ = ["Found", "Hit", "Kind", "Look", "find", "hits", "looks"]
