from rest_framework.routers import SimpleRouter

from merchants import api

router = SimpleRouter(trailing_slash=False)
router.register("merchants", api.Merchants, "merchants")
router.register("admin-units", api.AdminUnits, "admin-units")
router.register("configurations", api.Configurations, "configurations")
urlpatterns = router.urls
