"""None of dj-stripe's admin pages: they print the secret key to view-only staff, and any staff user may start a sync
there by POST (DESIGN section 4).
"""

from django.apps import apps
from django.contrib import admin
from djstripe import admin as _registers_its_pages  # noqa: F401  (before we unregister, whatever the order of the apps)

for model in apps.get_app_config("djstripe").get_models():
    if admin.site.is_registered(model):
        admin.site.unregister(model)
