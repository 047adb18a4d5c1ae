from django.db import migrations


class Migration(migrations.Migration):
    """Django's log is read by user only; a row's page and an invoice's timeline read it by row."""

    dependencies = [
        ("config", "0006_counters"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]

    operations = [
        migrations.RunSQL(
            "CREATE INDEX acts_of_row ON django_admin_log (content_type_id, object_id, action_time)",
            "DROP INDEX acts_of_row",
        ),
    ]
