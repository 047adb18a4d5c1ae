from rest_framework.routers import SimpleRouter

from invoices import api

router = SimpleRouter(trailing_slash=False)
router.register("invoices", api.Invoices, "invoices")
router.register("invoice-requests", api.InvoiceRequests, "invoice-requests")
router.register("provider-accounts", api.ProviderAccounts, "provider-accounts")
urlpatterns = router.urls
