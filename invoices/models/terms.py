"""The words and numbers by which an invoice's buyer is found."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models


class BuyerTerms(models.Model):
    """The words of the buyer's names without accents, and their tax code, personal id, phone and e-mail.

    A trigger writes it in the transaction that writes the buyer (see buyer_terms in the migrations). It is a table of
    its own because every move rewrites the invoice's row, with an entry in each of its indexes.
    """

    invoice = models.OneToOneField("invoices.Invoice", models.PROTECT, primary_key=True, related_name="terms")
    terms = ArrayField(models.TextField())

    class Meta:
        indexes = [GinIndex(fields=["terms"], name="buyers_by_term", gin_pending_list_limit=512)]  # kB

    def __str__(self) -> str:
        return f"terms of {self.invoice_id}"


class Words(models.Func):
    """The words of a text as BuyerTerms holds them: lower case, without accents."""

    function = "plain_words"
    output_field: Any = ArrayField(models.TextField())
