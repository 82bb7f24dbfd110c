from django.apps import AppConfig


class PaymentsConfig(AppConfig):
    name = "payments"
    verbose_name = "Payments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Keep dj-stripe from storing the secret key, whoever makes it store something."""
        from payments import mirror

        mirror.use_configured_account()
