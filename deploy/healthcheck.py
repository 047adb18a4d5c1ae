"""Is the API of this container alive? For engines without probes of their own. No Django: it must be quick."""

import os
import sys
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "31140")), timeout=4)
host = os.environ.get("ALLOWED_HOSTS", "localhost").partition(",")[0]  # any other name is refused
connection.request("GET", "/v1/api/health/live", headers={"Host": host})
sys.exit(connection.getresponse().status != 200)
