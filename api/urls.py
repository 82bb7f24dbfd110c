from django.urls import path

from api import views

urlpatterns = [
    path("auth/token", views.TokenView.as_view(), name="token"),
]
