"""The health check of the API container, for engines without HTTP probes. Imports no Django, to be quick."""

import os
import sys
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", int(os.environ.get("PORT", "31140")), timeout=4)
host = os.environ.get("ALLOWED_HOSTS", "localhost").partition(",")[0]  # other hosts are refused
connection.request("GET", "/v1/api/health/live", headers={"Host": host})
sys.exit(connection.getresponse().status != 200)
