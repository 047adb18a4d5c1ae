"""The settings, and the declaration of each environment variable. A wrong or missing one aborts the start.

`config.environment` reads and checks the variables.
"""

import os
import socket
from importlib.util import find_spec
from pathlib import Path

from config.base import webhook_secrets
from config.base.logging import logging_config
from config.environment import env
from config.rest.framework import REST_FRAMEWORK, SPECTACULAR_SETTINGS  # noqa: F401  (Django reads them here)
from config.schedule import beat_schedule, queues

ROOT = Path(__file__).resolve().parent.parent

env.section("The process")
ENVIRONMENTS = ("development", "production")
_usual = ENVIRONMENTS[bool(os.environ.get("DATABASE_URL"))]  # a process with a database is in production
ENVIRONMENT = env.text(
    "HOADON_ENV", "The deployment type: `development` or `production`.", _usual, shown="production", one_of=ENVIRONMENTS
)
DEVELOPMENT = env.development = ENVIRONMENT == "development"
_set_by_hand = frozenset(os.environ)
if DEVELOPMENT:
    env.read_file(ROOT / ".env.development")  # the environment wins
    os.environ.setdefault("HOADON_ENV", ENVIRONMENT)
ASSUMED = frozenset(os.environ) - _set_by_hand  # variables that only the development file sets
if env.number("HOADON_CLOCK", "Seconds added to the machine's clock. Development only.", 0) and not DEVELOPMENT:
    env.problem("HOADON_CLOCK moves the clock; unset it in production.")
DEBUG = env.flag("DEBUG", "Shows tracebacks and settings to every visitor. Never in production.")
SECRET_KEY = env.text("SECRET_KEY", "Signs sessions and forms.")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "The host names that are served, separated by commas.", development=["*"])
SERVICE_CODE = env.text("SERVICE_CODE", "This service's code on the platform.", "SVC-00150-INVOICE")
PORT = env.whole("PORT", "The port of the API. The gateway expects 31140.", 31140, at_most=65535)
API_HOST = env.text("API_HOST", "The address that the API listens on.", "0.0.0.0", development="127.0.0.1")  # noqa: S104
API_PROCESSES = env.whole("API_PROCESSES", "Processes per `run api`.", 1)
API_THREADS = env.whole("API_THREADS", "Threads per API process. Each has its own database connection.", 8)
PUBLIC_URL = env.text(
    "PUBLIC_URL", "The public address of claim pages and the console.", f"http://127.0.0.1:{PORT}"
).rstrip("/")
ALIVE = env.text("HOADON_ALIVE", "Folder for the processes' heartbeat files. Empty: a temporary folder.", "")

INSTALLED_APPS = [
    "config.apps.ConsoleApp",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "simple_history",
    "config",
    "merchants",
    "invoices",
    "webhooks",
    "claims",
    *(["invoices.dev"] if find_spec("invoices.dev") else []),  # demo, seed and simulator: not in the image
]
MIDDLEWARE = [
    "config.base.tracing.TracingMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "config.rest.headers.ContentSecurityPolicy",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "config" / "templates"],  # before Django's own pages of the console
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

env.section("PostgreSQL and Redis")
LOCAL = Path(
    env.text("HOADON_LOCAL", "Folder for embedded servers and the demo.", str(ROOT / ".local"), shown=".local")
)
if not os.environ.get("DATABASE_URL") or not os.environ.get("REDIS_URL"):
    from config.processes import embedded

    database_url, redis_url = embedded.start(LOCAL)
    os.environ.setdefault("DATABASE_URL", database_url)  # children use the same servers
    os.environ.setdefault("REDIS_URL", redis_url)
DATABASES = {"default": env.database("DATABASE_URL", "postgresql://user:password@host/name")}
REDIS_URL = env.text("REDIS_URL", "redis://host:6379/0. Holds wake-ups and rate counters; none of it must be kept.")
_lock = env.whole("DATABASE_LOCK_TIMEOUT_MS", "Maximum wait for a lock, in milliseconds.", 5000)
_statement = env.whole("DATABASE_STATEMENT_TIMEOUT_MS", "Maximum duration of a statement, in milliseconds.", 30000)
_idle = env.whole("DATABASE_IDLE_TIMEOUT_MS", "Maximum idle time in a transaction, in ms.", 60000)
_age = env.whole("DATABASE_CONN_MAX_AGE", "Seconds for which a connection is reused.", 600, at_least=0)
_options = f"-c lock_timeout={_lock} -c statement_timeout={_statement} -c idle_in_transaction_session_timeout={_idle}"
DATABASES["default"] |= {"CONN_MAX_AGE": _age, "CONN_HEALTH_CHECKS": True}
DATABASES["default"].setdefault("OPTIONS", {}).update(connect_timeout=5, options=_options)
EMBEDDED = str(DATABASES["default"]["OPTIONS"].get("host", "")).startswith(str(LOCAL.resolve()))  # from a wheel
MIGRATE_LOCK_TIMEOUT_MS = env.whole("MIGRATE_LOCK_TIMEOUT_MS", "Maximum wait for a lock in a migration, in ms.", 2000)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "hoadon",
        "OPTIONS": {"socket_timeout": 0.2, "socket_connect_timeout": 0.2},  # a rate counter must not delay a request
    }
}

env.section("Identity and secrets")
WORKER_ID = env.whole(
    "APP_ENV_INVOICE_WORKER_ID", "0 to 1023, unique per database: a part of every id.", at_least=0, at_most=1023
)
CREDENTIALS_KEYS = [
    env.text("APP_ENV_INVOICE_CREDENTIALS_KEY", "64 hex digits. Encrypts logins and secrets."),
    env.text("APP_ENV_INVOICE_CREDENTIALS_KEY_PREVIOUS", "The previous key, still used for decryption.", ""),
]
CREDENTIALS_KEYS = [key for key in CREDENTIALS_KEYS if key]
for key in CREDENTIALS_KEYS:
    if len(key) != 64 or set(key.lower()) - set("0123456789abcdef"):
        env.problem(
            f"APP_ENV_INVOICE_CREDENTIALS_KEY has {len(key)} characters; it must be exactly 64 hex digits (32 bytes). "
            "Make one with: openssl rand -hex 32"
        )
WEBHOOK_SECRETS: dict[str, dict[str, str]] = {}  # route, label, secret
for route, name, meaning in (
    ("merchant", "WEBHOOK_SECRET", "Secrets of the merchant route, separated by spaces. See docs/security.md."),
    ("internal", "WEBHOOK_INTERNAL_SECRET", "Secrets of the platform's route. Never give one to a merchant."),
):
    try:
        WEBHOOK_SECRETS[route] = webhook_secrets.read(name, env.text(name, meaning))
    except ValueError as error:
        env.problem(str(error))

env.section("Callers' tokens")
# A developer's machine reads a key set that manage.py issue_token makes.
_own_keys = (LOCAL.resolve() / "identity" / "jwks.json").as_uri()
JWKS_URL = env.text("JWKS_URL", "The http(s) address of the identity service's key set.", development=_own_keys)
if not DEVELOPMENT and not JWKS_URL.startswith(("https://", "http://")):
    env.problem("JWKS_URL must be the http(s) address of the identity service's key set.")
JWT_ISSUER = env.text("JWT_ISSUER", "`iss` of callers' tokens.")
JWT_AUDIENCE = env.text("JWT_AUDIENCE", "`aud` of callers' tokens.", SERVICE_CODE, shown="the value of SERVICE_CODE")
JWT_LEEWAY = env.seconds("JWT_LEEWAY_SECONDS", "Allowed difference between two servers' clocks, in seconds.", 30)
JWKS_FRESH = env.seconds("JWKS_FRESH_SECONDS", "A withdrawn key is refused after this many seconds.", 300)
JWKS_STALE = env.seconds("JWKS_STALE_SECONDS", "Seconds for which known keys stay valid without the service.", 86400)
JWKS_COOLDOWN = env.seconds("JWKS_COOLDOWN_SECONDS", "Minimum seconds between two fetches of the key set.", 30)
JWKS_TIMEOUT = env.seconds("JWKS_TIMEOUT_SECONDS", "Time limit of a fetch, in seconds.", 3)

env.section("Celery")
PARTITIONS = env.whole("ISSUANCE_PARTITIONS", 'Number of partitions. See "More partitions" in docs/operations.md.', 3)
QUEUES = queues(PARTITIONS)
CELERY_BEAT_SCHEDULE = beat_schedule(
    PARTITIONS,
    sweep=env.seconds("SWEEP_SECONDS", "Interval between sweeps, in seconds.", 5),
    expire=env.seconds("EXPIRE_SECONDS", "Interval between checks for closed claim windows, in seconds.", 10),
    probe=env.seconds("PROBE_SECONDS", "Interval between probes of refused logins, in seconds.", 30),
    files=env.seconds("FILES_SECONDS", "Interval between fetches of PDF and XML files, in seconds.", 5),
    deliver=env.seconds("DELIVER_SECONDS", "Interval between checks for webhooks to send, in seconds.", 2),
    bulk=env.seconds("BULK_SECONDS", "Interval between steps of the bulk runs, in seconds.", 2),
)
CELERY_BEAT_SCHEDULER = "celery.beat.Scheduler"  # in memory: the default keeps a file, which a kill leaves half written
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 5, "socket_connect_timeout": 2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "hoadon"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"

env.section("Kafka")
KAFKA_BOOTSTRAP_SERVERS = env.text("KAFKA_BOOTSTRAP_SERVERS", "host:port,… Empty: no topic is read.", "")
KAFKA_CONSUMER_ID = env.text("KAFKA_CONSUMER_ID", "The consumer group.", f"{SERVICE_CODE}_CONSUMER")
KAFKA_INSTANCE_ID = env.text(
    "KAFKA_INSTANCE_ID", "This consumer's id; must not change at a restart.", socket.gethostname(), shown="host name"
)
KAFKA_MERCHANT_TOPIC = env.text("KAFKA_MERCHANT_TOPIC", "Changes of merchants.", "platform.public.merchants")
KAFKA_PAYMENT_TOPIC = env.text("KAFKA_PAYMENT_TOPIC", "Payments. Empty: they come only as webhooks.", "")
if KAFKA_MERCHANT_TOPIC == KAFKA_PAYMENT_TOPIC:
    env.problem("KAFKA_MERCHANT_TOPIC and KAFKA_PAYMENT_TOPIC must be two topics.")
KAFKA_SESSION = env.seconds(
    "KAFKA_SESSION_SECONDS", "A silent consumer is replaced after this time.", 45, development=6
)
KAFKA_OPTIONS = env.options("KAFKA_OPTIONS", "Options of librdkafka: security.protocol=SASL_SSL,sasl.username=…")

env.section("Metrics and logs")
METRICS_TOKEN = env.text("METRICS_TOKEN", "The bearer token that Prometheus sends. Empty: no token is needed.", "")
LOGGING = logging_config(
    style=env.text("LOG_FORMAT", "`logfmt` or `json`.", "logfmt", one_of=("logfmt", "json")),
    level=env.text("LOG_LEVEL", "`DEBUG`, `INFO`, `WARNING` or `ERROR`.", "INFO").upper(),
    service=SERVICE_CODE,
    with_tracebacks=DEBUG,
)

env.section("Issuing")
START_WITHIN = env.seconds("ISSUANCE_START_WITHIN", "Maximum seconds from the take to the first byte of a send.", 10)
RETRY_STEPS = env.steps("ISSUANCE_RETRY_STEPS", "Seconds between attempts of a send.", [30, 120, 300, 900, 1800, 3600])
LOOKUP_STEPS = env.steps("ISSUANCE_LOOKUP_STEPS", "Seconds between look-ups.", [60, 120, 300, 900, 1800, 3600])
PROVIDER_SETTLE = env.number("PROVIDER_SETTLE", 'Seconds after which "not found" is proof. 0: the vendor\'s limit.', 0)
PROVIDER_TIMEOUT = env.number("PROVIDER_TIMEOUT", "Time limit of a call, in seconds. 0: the vendor's limit.", 0)
BATCH = env.whole("ISSUANCE_BATCH", "Maximum open sends per worker.", 200)
AUDIT_BITE = env.seconds("AUDIT_BITE_SECONDS", "Seconds per minute, 00:00–05:00, spent verifying the audit.", 20)
PARK_SECONDS = env.seconds("ACCOUNT_PARK_SECONDS", "Seconds until a parked account sends one invoice as a trial.", 300)
CLAIM_GRACE = env.seconds("CLAIM_GRACE_SECONDS", "Seconds for which a claim stays editable.", 120)

env.section("Outbound webhooks")
_steps: list[float] = [5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
WEBHOOK_STEPS = env.steps("WEBHOOK_STEPS", "Seconds between attempts of a delivery. After the last it is dead.", _steps)
WEBHOOK_CONNECT_TIMEOUT = env.seconds("WEBHOOK_CONNECT_TIMEOUT", "Time limit for connecting, in seconds.", 5)
WEBHOOK_TIMEOUT = env.seconds("WEBHOOK_TIMEOUT", "Time limit of a call, in seconds.", 15)
WEBHOOK_BATCH = env.whole("WEBHOOK_BATCH", "Maximum open calls per worker.", 1000)
WEBHOOK_IN_FLIGHT = env.whole("WEBHOOK_IN_FLIGHT", "Maximum open calls per endpoint; one while it fails.", 20)
WEBHOOK_GIVE_UP = env.seconds(
    "WEBHOOK_GIVE_UP_SECONDS", "An endpoint without a success for this long is disabled.", 432000
)
WEBHOOK_ALLOW_LOOPBACK = env.flag("WEBHOOK_ALLOW_LOOPBACK", "Allows http and loopback receivers.", development=True)
WEBHOOK_HIGH_PORTS = env.flag("WEBHOOK_HIGH_PORTS", "Allows ports from 1024 up, besides 443.", development=True)
if WEBHOOK_ALLOW_LOOPBACK and not DEVELOPMENT:
    env.problem("WEBHOOK_ALLOW_LOOPBACK lets merchants call this machine; unset it in production.")

env.section("Files, mail and the console")
LANGUAGE_CODE = "en"
LANGUAGES = [("vi", "Tiếng Việt"), ("en", "English")]
LOCALE_PATHS = [ROOT / "claims" / "locale"]
USE_I18N = USE_TZ = True
TIME_ZONE = "Asia/Ho_Chi_Minh"  # what people read; the database holds UTC
FIXTURE_DIRS = [ROOT / "fixtures"]
STATIC_URL = "/static/"
STATIC_ROOT = ROOT / "static"
WHITENOISE_USE_FINDERS = True
_files = "Folder for PDF and XML files. The background worker writes it, the API reads it."
MEDIA_ROOT = Path(env.text("MEDIA_ROOT", _files, str(LOCAL / "files"), shown="files in HOADON_LOCAL"))
_mail = "The server for mail to buyers: smtp+tls://user:password@host:587. `dummymail://` sends nothing."
vars().update(env.mail("EMAIL_URL", _mail, "dummymail://", development=f"filemail:///{LOCAL.resolve() / 'mail'}"))
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "The sender that buyers see.", "hoadon@localhost")
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
BEHIND_PROXY = env.flag("BEHIND_PROXY", "True if the gateway sets X-Forwarded-Proto and X-Forwarded-For.")
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_AGE = env.whole("SESSION_SECONDS", "Seconds for which an operator stays signed in: one shift.", 8 * 3600)
_year = 365 * 86400 if SESSION_COOKIE_SECURE else 0
SECURE_HSTS_SECONDS = env.whole("HSTS_SECONDS", "HSTS max-age, in seconds.", _year, at_least=0)
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains and
    "security.W021",  # in browsers' lists are the domain owner's decision;
    "security.W008",  # the gateway redirects to https
]
LOGIN_TRIES = env.whole("LOGIN_TRIES", "Failed sign-ins per user name, and per address, before a wait.", 5)
LOGIN_WAIT = env.seconds("LOGIN_WAIT_SECONDS", "Duration of that wait, in seconds.", 900)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.whole(
    "MAX_BODY_BYTES", "Maximum request body in bytes; must match client_max_body_size of nginx.", 1024 * 1024
)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # the form that amends a long receipt has six fields per line
SIMPLE_HISTORY_HISTORY_ID_USE_UUID = False

env.section("The API")
PAGE = env.whole("API_PAGE", "Default number of rows per page.", 50)
PAGE_MAX = env.whole("API_PAGE_MAX", "Maximum number of rows per page.", 200)
RATES = {
    "principal": env.whole("API_RATE_PER_PRINCIPAL", "Requests per minute and caller.", 1200),
    "claim": env.whole("API_RATE_PER_CLAIM_TOKEN", "Requests per minute and claim link.", 60),
}

env.finish()
