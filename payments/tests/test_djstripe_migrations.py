"""The collapsed copy of dj-stripe's migrations (`payments/djstripe_migrations`) does what upstream's do."""

import os
from pkgutil import iter_modules

import djstripe.migrations
import pytest
from django.core.management import call_command
from django.db import connection, connections

import payments.djstripe_migrations

# Without the order of columns and without oids; every name that PostgreSQL keeps is in one of these.
SCHEMA = {
    "columns": """
        SELECT table_name, column_name, udt_name, character_maximum_length, numeric_precision, numeric_scale,
               is_nullable, column_default, is_identity, identity_generation
        FROM information_schema.columns WHERE table_schema = 'public'
    """,
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
    """,
    "sequences": "SELECT sequencename, data_type::text FROM pg_sequences WHERE schemaname = 'public'",
    "recorded names": "SELECT app, name FROM django_migrations",
}


def names_in(package):
    return sorted(module.name for module in iter_modules(package.__path__))


def test_the_copy_has_the_names_of_the_installed_dj_stripe():
    assert names_in(payments.djstripe_migrations) == names_in(djstripe.migrations)


def test_the_models_of_the_installed_dj_stripe_need_no_other_migration(db, settings):
    settings.MIGRATION_MODULES = {"djstripe": "payments.djstripe_migrations"}
    call_command("makemigrations", "djstripe", check=True, dry_run=True, verbosity=0)


@pytest.fixture
def schema_made_by(django_db_setup, django_db_blocker, settings):
    """Migrates a database of its own by the migrations of a package, and tells what it then looks like."""

    def migrate(package):
        settings.MIGRATION_MODULES = {"djstripe": package}
        name = f"{connection.settings_dict['NAME']}_{package.replace('.', '_')}"
        connections.settings["scratch"] = connections.settings["default"] | {"NAME": name}
        with connection.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{name}"')
            cursor.execute(f'CREATE DATABASE "{name}"')
        try:
            call_command("migrate", "djstripe", database="scratch", verbosity=0)
            with connections["scratch"].cursor() as cursor:
                return {part: sorted(cursor.execute(query).fetchall(), key=repr) for part, query in SCHEMA.items()}
        finally:
            connections["scratch"].close()
            del connections["scratch"], connections.settings["scratch"]
            with connection.cursor() as cursor:
                cursor.execute(f'DROP DATABASE "{name}"')

    with django_db_blocker.unblock():
        yield migrate
    connection.close()


@pytest.mark.skipif(
    "CHECK_DJSTRIPE_MIGRATIONS" not in os.environ,
    reason="upstream's migrations take a minute: set CHECK_DJSTRIPE_MIGRATIONS=1, as .ci/run does",
)
def test_the_copy_makes_the_schema_that_upstreams_migrations_make(schema_made_by):
    collapsed = schema_made_by("payments.djstripe_migrations")
    upstream = schema_made_by("djstripe.migrations")
    assert len([row for row in upstream["columns"] if row[0].startswith("djstripe_")]) > 500
    for part, rows in upstream.items():
        assert collapsed[part] == rows, part
