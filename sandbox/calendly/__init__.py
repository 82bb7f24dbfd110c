"""A local Calendly: scheduling pages, the part of API v2 that the service uses, and signed webhooks.

It holds to what was measured of the real one, the unkind parts included. `README.md` beside this file says how to
start it, what it ships with and what its control room can do.
"""
