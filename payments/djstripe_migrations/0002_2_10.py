from django.db import migrations


class Migration(migrations.Migration):
    """Upstream's name only: 0001_initial has its effect already."""

    dependencies = [("djstripe", "0001_initial")]
