"""The Celery application: a doorbell and an alarm clock. PostgreSQL is the queue."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("hoadon")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
