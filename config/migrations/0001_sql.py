"""What only SQL can make: snowflake(), which makes our ids, and an index on Django's log of operators' actions."""

from django.db import migrations

# 41 bits of milliseconds since 2025-01-01, 10 of worker id, 12 of sequence. `migrate` writes snowflake_worker().
SNOWFLAKE = """
CREATE SEQUENCE snowflake_sequence CYCLE MINVALUE 0 MAXVALUE 4611686018427387904;
CREATE FUNCTION snowflake_worker() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
CREATE FUNCTION snowflake_now() RETURNS bigint LANGUAGE sql VOLATILE AS
    'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 1735689600000';
CREATE FUNCTION snowflake() RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    began bigint;
    turn bigint;
BEGIN
    LOOP
        began := snowflake_now();
        turn := nextval('snowflake_sequence') & 4095;
        -- A backend that is held up between the two could meet the sequence a round later: take a turn of this ms only.
        IF snowflake_now() = began THEN
            RETURN (began << 22) | (snowflake_worker() << 12) | turn;
        END IF;
    END LOOP;
END $$;
"""
NO_SNOWFLAKE = """
DROP FUNCTION snowflake(); DROP FUNCTION snowflake_now(); DROP FUNCTION snowflake_worker();
DROP SEQUENCE snowflake_sequence;
"""
# Django indexes its log by user only; a row's page and an invoice's timeline read it by row.
ACTIONS = "CREATE INDEX actions_of_row ON django_admin_log (content_type_id, object_id, action_time)"


class Migration(migrations.Migration):
    dependencies = [("admin", "0003_logentry_add_action_flag_choices")]
    run_before = [("merchants", "0001_initial"), ("invoices", "0001_initial"), ("webhooks", "0001_initial")]
    operations = [
        migrations.RunSQL(SNOWFLAKE, NO_SNOWFLAKE),
        migrations.RunSQL(ACTIONS, "DROP INDEX actions_of_row"),
    ]
