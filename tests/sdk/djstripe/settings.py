"""A Django project with nothing in it but dj-stripe, told Tap's address and a secret key by TAP_BASE_URL and TAP_API_KEY."""

import os

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "djstripe"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "db.sqlite3",  # in the working directory
        "OPTIONS": {"timeout": 60},  # seconds: webhooks are written while the program reads
    }
}
# The tables as the models are now. They come to the same as dj-stripe's migrations, which rebuild SQLite's tables for minutes.
MIGRATION_MODULES = {"djstripe": None}
USE_TZ = True

ROOT_URLCONF = "urls"
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = "no session is signed with it"

# The address is all that makes it a client of Tap.
STRIPE_API_HOST = os.environ["TAP_BASE_URL"]
STRIPE_TEST_SECRET_KEY = os.environ["TAP_API_KEY"]
STRIPE_LIVE_MODE = False
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
