"""The WSGI application that the web server runs."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from api.wsgi import Handler  # noqa: E402  # it needs the settings

application = Handler()
