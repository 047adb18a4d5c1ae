"""Django's loaddata, which also respects `seed_only` models."""

from django.core.management.commands import loaddata
from django.core.serializers.base import DeserializedObject


class Command(loaddata.Command):
    help = "As Django's, but rows that operators edit (`seed_only` models) are added once and never overwritten."

    def save_obj(self, obj: DeserializedObject) -> bool:
        row = obj.object
        if getattr(row, "seed_only", False) and type(row)._base_manager.filter(pk=row.pk).exists():
            return False
        return super().save_obj(obj)
