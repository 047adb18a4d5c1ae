from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("invoices", "0012_bulk_runs")]

    operations = [
        AddIndexConcurrently(
            model_name="invoice",
            index=models.Index(
                condition=models.Q(("number", "")), fields=["reference"], name="unnumbered_by_reference"
            ),
        ),
    ]
