"""All settings, from the environment (README, "Settings"; DESIGN: one file, django-environ).

With DEBUG off a missing secret is an error at start, never a default.
"""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from config import embedded_postgres

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = BASE_DIR / "var"

env = environ.Env()

# `.env` is the operator's; `var/run.env` is written by a running `manage.py dev`, so that commands in a
# second terminal talk to the same sandbox. What the environment already says wins. Tests read neither.
if env_file := env.str("ENV_FILE", default=".env"):
    for path in (BASE_DIR / env_file, VAR_DIR / "run.env"):
        if path.exists():
            environ.Env.read_env(path)

DEBUG = env.bool("DEBUG", default=True)


def _secret(name: str, default: str) -> str:
    """A secret from the environment. The default is for DEBUG only."""
    value = env.str(name, default="")
    if not value and not DEBUG:
        raise ImproperlyConfigured(f"{name} must be set when DEBUG is off")
    return value or default


def _secrets(name: str) -> list[str]:
    """A comma-separated list of secrets, the current one first (several while a key is being rolled)."""
    values = [value.strip() for value in env.str(name, default="").split(",") if value.strip()]
    if not values and not DEBUG:
        raise ImproperlyConfigured(f"{name} must be set when DEBUG is off")
    return values


def _kept_secret_key() -> str:
    """The development SECRET_KEY: made once, kept in var/ so that sessions survive a restart."""
    path = VAR_DIR / "secret_key"
    if not path.exists():
        VAR_DIR.mkdir(exist_ok=True)
        path.write_text(secrets.token_urlsafe(50))
        path.chmod(0o600)
    return path.read_text()


SECRET_KEY = env.str("SECRET_KEY", default="")
if not SECRET_KEY:
    if not DEBUG:
        raise ImproperlyConfigured("SECRET_KEY must be set when DEBUG is off")
    SECRET_KEY = _kept_secret_key()

HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://{HOST}:{PORT}").rstrip("/")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"] if DEBUG else [])
RETURN_URL_ORIGINS = env.list("RETURN_URL_ORIGINS", default=["{0.scheme}://{0.netloc}".format(urlsplit(PUBLIC_URL))])
WEB_WORKERS = env.int("WEB_WORKERS", default=1)
WORKERS = env.int("WORKERS", default=1)

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "procrastinate.contrib.django",
    "rest_framework",
    "knox",
    "djstripe",
    # Ours, from the floor up.
    "api",
    "bookings",
    "payments",
    "webhooks",
    "operations",
]

MIDDLEWARE = [
    "api.middleware.RequestIdMiddleware",
    "api.middleware.EnvelopeMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
APPEND_SLASH = False  # Calendly counts a redirect as a failed delivery.
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# PostgreSQL, always. DATABASE_URL wins over the embedded server that `make run` starts.
DATABASE_URL = env.str("DATABASE_URL", default="")
DATABASES = {
    "default": {
        **environ.Env.db_url_config(DATABASE_URL or embedded_postgres.default_url()),
        "ATOMIC_REQUESTS": False,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
    }
}

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
WHITENOISE_USE_FINDERS = DEBUG

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
SESSION_ENGINE = "api.sessions"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not DEBUG
X_FRAME_OPTIONS = "DENY"

# The largest body read from anybody; the stricter bounds of clients and webhooks are in api/json.py.
DATA_UPLOAD_MAX_MEMORY_SIZE = 2**20
FILE_UPLOAD_HANDLERS: list[str] = []  # nobody sends us files

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.BearerTokenAuthentication",
        "api.authentication.ClientSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["api.json.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["api.renderers.ExactJSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.negotiation.ContentNegotiation",
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS is no method of ours
    "URL_FORMAT_OVERRIDE": None,  # `?format=` means nothing
    "EXCEPTION_HANDLER": "api.errors.exception_handler",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
REST_KNOX = {"AUTH_HEADER_PREFIX": "Bearer", "TOKEN_TTL": None, "AUTO_REFRESH": False}

# Jobs. A job is only a knock (LIFECYCLE 1): the row carries its own attempts and next time.
PROCRASTINATE_WORKER_DEFAULTS = {
    "fetch_job_polling_interval": 0.25,
    "shutdown_graceful_timeout": 20,
    "delete_jobs": "successful",
}

# Providers. Bases have no path; the service cannot tell the sandbox from the real ones.
STRIPE_API_BASE = env.str("STRIPE_API_BASE", default="https://api.stripe.com").rstrip("/")
STRIPE_SECRET_KEY = _secret("STRIPE_SECRET_KEY", default="sk_test_" + "0" * 24)
STRIPE_WEBHOOK_SECRETS = _secrets("STRIPE_WEBHOOK_SECRETS")
STRIPE_LIVEMODE = env.bool("STRIPE_LIVEMODE", default=STRIPE_SECRET_KEY.startswith(("sk_live_", "rk_live_")))
STRIPE_ACCOUNT_ID = env.str("STRIPE_ACCOUNT_ID", default="")
STRIPE_PAYMENT_METHODS = env.list("STRIPE_PAYMENT_METHODS", default=["card"])
STRIPE_API_VERSION = "2026-05-27.dahlia"
CALENDLY_API_BASE = env.str("CALENDLY_API_BASE", default="https://api.calendly.com").rstrip("/")
CALENDLY_API_TOKEN = _secret("CALENDLY_API_TOKEN", default="unset")
CALENDLY_WEBHOOK_SIGNING_KEYS = _secrets("CALENDLY_WEBHOOK_SIGNING_KEYS")
CALENDLY_ORGANIZATION = env.str("CALENDLY_ORGANIZATION", default="")

# How old, in seconds, a signed webhook may be; and how far in the future (LIFECYCLE R26).
WEBHOOK_TOLERANCE_STRIPE = env.int("WEBHOOK_TOLERANCE_STRIPE", default=300)
WEBHOOK_TOLERANCE_CALENDLY = env.int("WEBHOOK_TOLERANCE_CALENDLY", default=180)
WEBHOOK_TOLERANCE_FUTURE = 60

# The life of a booking.
HOLD_MINUTES = env.float("HOLD_MINUTES", default=30.0)
FLOW_HOURS = env.int("FLOW_HOURS", default=24)
REFUND_APPROVAL_ABOVE = {
    currency.strip().upper(): int(amount)
    for currency, _, amount in (part.partition(":") for part in env.list("REFUND_APPROVAL_ABOVE", default=[]))
}

# dj-stripe is the audit copy only (DESIGN section 4).
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
if STRIPE_LIVEMODE:
    STRIPE_LIVE_SECRET_KEY = STRIPE_SECRET_KEY
else:
    STRIPE_TEST_SECRET_KEY = STRIPE_SECRET_KEY
if not DATABASE_URL:
    # 4 s instead of 50: the same schema, collapsed (payments/djstripe_migrations, checked against the real ones).
    MIGRATION_MODULES = {"djstripe": "payments.djstripe_migrations"}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": []},  # its own handler would write every line a second time
        "procrastinate": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
    },
}
