"""A local Stripe for payments by Checkout: the API in version 2026-05-27.dahlia, its hosted page, signed webhooks.

`app.py` puts it together. `api.py` has the routes, `parameters.py` what each call takes, `ledger.py` and its rooms
(`sessions`, `payments`, `refunds`, `disputes`) what happens, `shapes.py` how Stripe's objects look.
"""

API_VERSION = "2026-05-27.dahlia"
"""The only version that is spoken here."""
