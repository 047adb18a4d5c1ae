"""The API of settings that can change at run time. A secret value can be written and never read."""

from typing import Any

from django.db import IntegrityError, transaction
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.models import Configuration
from config.rest.fields import Body, Boolean, Pattern, Text
from config.rest.problems import Problem
from config.rest.scoping import PLATFORM, ScopedViewSet


class ConfigurationPatch(Body):
    value = Text(max_length=10_000, allow_blank=True, trim_whitespace=False)
    description = Text(max_length=1000, allow_blank=True, default="")


class NewConfiguration(ConfigurationPatch):
    key = Pattern(r"^[A-Za-z0-9._-]{1,100}\Z", max_length=100)
    isSecret = Boolean(source="is_secret", default=False, help_text="Cannot be changed later.")


class ConfigurationShape(serializers.Serializer):
    key = serializers.CharField()
    value = serializers.SerializerMethodField("public_value", help_text="null if it is secret.")
    isSecret = serializers.BooleanField(source="is_secret")
    description = serializers.CharField()
    updatedAt = serializers.DateTimeField(source="updated_at")

    def public_value(self, row: Configuration) -> str | None:
        return None if row.is_secret else row.value


class Configurations(mixins.ListModelMixin, mixins.RetrieveModelMixin, ScopedViewSet):
    queryset = Configuration.objects.all()
    serializer_class = ConfigurationShape
    lookup_field = "key"
    lookup_value_regex = "[A-Za-z0-9._-]{1,100}"
    merchant_path = PLATFORM
    permission_of = {
        "list": "configuration.read",
        "retrieve": "configuration.read",
        "create": "configuration.write",
        "partial_update": "configuration.write",
    }
    conflicts = ("create",)

    @extend_schema(request=NewConfiguration, responses={201: ConfigurationShape})
    def create(self, request: Request) -> Response:
        """Add a setting. 409 `exists` if the key is taken."""
        self.check_may_act_for(None)
        shape = NewConfiguration(data=request.data)
        shape.is_valid(raise_exception=True)
        value = shape.validated_data.pop("value")
        row = Configuration(**shape.validated_data)
        try:
            with transaction.atomic():
                self._write(row, value)
        except IntegrityError:
            raise Problem(409, "exists", "A setting with this key exists already.") from None
        return Response(ConfigurationShape(row).data, status=201)

    @extend_schema(request=ConfigurationPatch, responses={200: ConfigurationShape})
    def partial_update(self, request: Request, **_: Any) -> Response:
        """Change the value, the description, or both."""
        shape = ConfigurationPatch(data=request.data, partial=True)
        shape.is_valid(raise_exception=True)
        values = shape.validated_data
        with transaction.atomic():
            row = Configuration.objects.select_for_update(no_key=True).get(pk=self.get_object().pk)
            if "description" in values:
                row.description = values["description"]
            if "value" in values:
                self._write(row, values["value"])
            else:
                self.save_row(row)
        return Response(ConfigurationShape(row).data)

    def _write(self, row: Configuration, value: str) -> None:
        row._change_reason = self.principal.actor
        row.write(value)
