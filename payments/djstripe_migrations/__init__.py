"""dj-stripe's migrations, collapsed: the same schema and the same recorded names in 4 seconds instead of 50.

Upstream's 0002_2_10 has 514 RemoveFields, and for each of them Django builds the state of all models anew. Here
0001_initial is generated from dj-stripe 2.11.0's models and the others are empty. `MIGRATION_MODULES` chooses these
in tests and on the embedded database; a `DATABASE_URL` gets upstream's own.

When an upgrade of dj-stripe brings a new migration, copy it here as it is: databases that exist need it too.
0001_initial was made (and can be made again, should these ever get slow) by

    rm payments/djstripe_migrations/0*.py && python manage.py makemigrations djstripe && git restore --source=HEAD -- \
        payments/djstripe_migrations/0002_2_10.py payments/djstripe_migrations/0003_2_11.py

`payments/tests/test_djstripe_migrations.py` compares names in every run, and the schema once in `.ci/run`.
"""
