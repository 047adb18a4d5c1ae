"""Provinces and communes."""

import functools
import unicodedata

from django.db import models


class AdministrativeUnit(models.Model):
    """A province or a commune that exists today: two levels, official codes."""

    class Level(models.TextChoices):
        PROVINCE = "province"
        COMMUNE = "commune"

    code = models.CharField(primary_key=True, max_length=5)
    name = models.CharField(max_length=100)
    name_en = models.CharField(max_length=100)
    full_name = models.CharField(max_length=120)
    full_name_en = models.CharField(max_length=120)
    slug = models.CharField(max_length=100)
    search = models.CharField(max_length=250, db_index=True)  # see search_text
    level = models.CharField(max_length=8, choices=Level.choices)
    unit_type = models.CharField(max_length=16)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="communes")

    class Meta:
        verbose_name = "commune"

    def __str__(self) -> str:
        return f"{self.full_name}, {self.parent.full_name}" if self.parent else self.full_name


@functools.cache
def commune_line(code: str) -> str:
    """A commune and its province, as addresses end. Cached: units change only with a release."""
    return str(AdministrativeUnit.objects.select_related("parent").get(pk=code))


def search_text(text: str) -> str:
    """Lower case without accents, as `AdministrativeUnit.search` is stored."""
    letters = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
