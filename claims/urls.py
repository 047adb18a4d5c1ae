from django.urls import path, re_path

from claims import api, views

urlpatterns = [
    path("claims/communes", views.communes, name="communes"),
    path("claims/<str:token>", views.page, name="claim-page"),
    path("claims/<str:token>/qr.svg", views.qr, name="claim-qr"),
    path("claims/<str:token>/stub", views.stub, name="claim-stub"),
    re_path(r"^claims/(?P<token>[^/]+)/files/(?P<kind>pdf|xml)$", views.file, name="claim-file"),
    path("v1/api/claims/<str:token>", api.twin, name="claim-twin"),
]
