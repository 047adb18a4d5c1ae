"""Settings of Django REST framework and of its OpenAPI document."""

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["config.rest.permissions.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["config.rest.permissions.HasDeclaredPermission"],  # an undeclared action is denied
    "DEFAULT_THROTTLE_CLASSES": ["config.rest.permissions.PrincipalThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.rest.bodies.ExactJsonParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.rest.bodies.JsonOnlyNegotiation",
    "DEFAULT_PAGINATION_CLASS": "config.rest.paging.NewestFirst",
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "config.rest.openapi.OperationSchema",
    "EXCEPTION_HANDLER": "config.rest.problems.exception_handler",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "Hoadon",
    "VERSION": "1",
    "DESCRIPTION": "Invoices of paid orders: opened, claimed, issued, audited, replayed.",
    "SCHEMA_PATH_PREFIX": "/v1/api/",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_NAME_OVERRIDES": {
        "InvoiceKind": "invoices.models.Invoice.Kind",
        "InvoiceState": "invoices.lifecycle.State",
        "DeliveryState": "webhooks.models.WebhookDelivery.State",
    },
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "webhooks.openapi.describe",
        "claims.openapi.describe",
        "config.rest.openapi.describe_health",
        "config.rest.openapi.add_components",
    ],
    "SWAGGER_UI_DIST": "SIDECAR",  # our own static files: no CDN learns of our readers
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}
