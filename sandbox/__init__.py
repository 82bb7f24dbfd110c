"""A local Calendly and a local Stripe, for running without accounts and for fault tests.

Each is a process of its own, reached over HTTP only. The service does not know that they are not the real ones, and
they know nothing of the service.
"""
