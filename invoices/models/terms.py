"""By which words and numbers an invoice's buyer is found."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class BuyerTerms(models.Model):
    """The words of the buyer's names without accents, and their tax code, personal id, phone and e-mail.

    PostgreSQL writes it, in the transaction that writes the buyer, whoever does (see migrations: buyer_terms). A table
    of its own, because an invoice's row is written anew at every move, with an entry in each of its indexes.
    """

    invoice = models.OneToOneField("invoices.Invoice", models.PROTECT, primary_key=True, related_name="terms")
    terms = ArrayField(models.TextField())

    class Meta:
        indexes = [GinIndex(fields=["terms"], name="buyers_by_term", gin_pending_list_limit=512)]  # kB

    def __str__(self) -> str:
        return f"terms of {self.invoice_id}"


class Words(models.Func):
    """A text's words as BuyerTerms holds them: lower case, without accents."""

    function = "plain_words"
    output_field: Any = ArrayField(models.TextField())
