import os

from django.core.wsgi import get_wsgi_application

from config.logging import serve_as

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
serve_as("api")
