from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularSwaggerSplitView

from config.monitoring import health, metrics
from config.rest.openapi import openapi

urlpatterns = [
    path("admin/", admin.site.urls),
    path("v1/api/", include("merchants.urls")),
    path("v1/api/", include("invoices.urls")),
    path("v1/api/", include("webhooks.urls")),
    path("metrics", metrics.metrics_view, name="metrics"),
    path("v1/api/health", health.health, name="health"),
    path("v1/api/health/live", health.live, name="health-live"),
    path("v1/api/health/ready", health.ready, name="health-ready"),
    path("v1/api/openapi.json", openapi, name="openapi"),
    path("v1/api/docs", SpectacularSwaggerSplitView.as_view(url_name="openapi"), name="docs"),
    path("", include("claims.urls")),
]
handler400 = "config.rest.problems.bad_request"
handler404 = "config.rest.problems.not_found"
handler500 = "config.rest.problems.server_error"
