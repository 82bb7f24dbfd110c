from django.apps import AppConfig
from django.urls import register_converter

from api.ids import IdConverter


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "The API's common ground"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register_converter(IdConverter, "id")
