from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("v1/api/webhooks/", include("webhooks.urls")),
    path("", include("claims.urls")),
]
