"""What dj-stripe's own installation says: its webhooks below /stripe/."""

from django.urls import include, path

urlpatterns = [path("stripe/", include("djstripe.urls", namespace="djstripe"))]
