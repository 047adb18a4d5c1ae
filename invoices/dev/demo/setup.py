"""Set up a demo: its own database, and its merchants in the database and at the simulated provider."""

import json
import os
import secrets
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import psycopg
import redis
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection

from config.processes.run_modes import SEEDS
from invoices import queues
from merchants.models import Merchant, ProviderAccount

DATABASE = "hoadon_demo"
REDIS_DATABASE = 14


def use_own_databases(database: str = DATABASE) -> None:
    """Use a new database and an empty Redis database in this process and in those that it starts."""
    connection.close()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {database}")
    os.environ["DATABASE_URL"] = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{database}").geturl()
    connection.settings_dict["NAME"] = database
    url, _, _ = os.environ["REDIS_URL"].partition("?")
    own = (
        f"{url}?db={REDIS_DATABASE}"
        if url.startswith("unix:")
        else urlsplit(url)._replace(path=f"/{REDIS_DATABASE}").geturl()
    )
    os.environ["REDIS_URL"] = settings.REDIS_URL = own
    settings.CELERY_BROKER_URL = own.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
    queues._connections = queues._Connections()  # this thread's were made with the settings at import
    redis.Redis.from_url(settings.REDIS_URL).flushdb()


def create_tables(*more: str) -> None:
    """Migrate, and load the seeds and `more` fixtures."""
    call_command("migrate", verbosity=0)
    call_command("loaddata", *SEEDS, *more, verbosity=0)


def create_merchants(simulator: str) -> str:
    """Create the tables and the demo's merchants, here and at the simulator. Returns the operator's password."""
    create_tables("demo")
    tenants: list[dict[str, Any]] = []
    for merchant in Merchant.objects.select_related("tax_info").prefetch_related("accounts"):
        password = secrets.token_urlsafe(12)
        for account in merchant.accounts.all():
            account.base_url = simulator
            account.set_credentials({"username": merchant.tax_info.tax_code, "password": password})
            account.save()
        tenants.append(_tenant(merchant, list(merchant.accounts.all()), password))
    post_json(f"{simulator}/simulator/tenants", tenants)
    password = secrets.token_urlsafe(9)
    get_user_model().objects.create_superuser("operator", password=password)
    return password


def post_json(url: str, body: Any) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310  (as below)
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  (our own simulator)
        return json.load(answer)


def get_json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  (our own simulator)
        return json.load(answer)


def _tenant(merchant: Merchant, accounts: list[ProviderAccount], password: str) -> dict[str, Any]:
    return {
        "taxCode": merchant.tax_info.tax_code,
        "password": password,
        "name": merchant.tax_info.legal_name,
        "address": merchant.tax_info.address,
        "series": [{"template": account.template, "symbol": account.symbol} for account in accounts],
    }
