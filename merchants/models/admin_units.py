"""Provinces and communes."""

import functools

from django.db import models


class AdministrativeUnit(models.Model):
    """A province or a commune in force: two levels, official codes."""

    class Level(models.TextChoices):
        PROVINCE = "province"
        COMMUNE = "commune"

    code = models.CharField(primary_key=True, max_length=5)
    name = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100)
    full_name = models.CharField(max_length=120)
    full_name_en = models.CharField(max_length=120)
    slug = models.CharField(max_length=100)
    search = models.CharField(max_length=250, db_index=True)  # lower case without accents
    level = models.CharField(max_length=8, choices=Level.choices)
    unit_type = models.CharField(max_length=16)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="communes")

    class Meta:
        verbose_name = "commune"

    def __str__(self) -> str:
        return f"{self.full_name}, {self.parent.full_name}" if self.parent else self.full_name


@functools.cache
def commune_of(code: str) -> str:
    """A commune and its province as addresses have them; remembered, for units change with a release's fixtures."""
    return str(AdministrativeUnit.objects.select_related("parent").get(pk=code))
