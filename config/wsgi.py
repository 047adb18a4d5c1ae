"""The WSGI application of the API server."""

import gc
import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from config.base.logging import serve_as

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
serve_as("api")

# Exclude all objects loaded by now from garbage collection: a full one would stop a request for 130 ms now and then.
get_resolver().url_patterns  # noqa: B018  (loads every view)
gc.collect()
gc.freeze()
