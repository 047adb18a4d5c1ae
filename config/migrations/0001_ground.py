"""snowflake(): ids made by PostgreSQL."""

from django.db import migrations

# 41 bits of milliseconds since 2025-01-01, 10 of worker id, 12 of sequence. `migrate` writes snowflake_worker().
FORWARD = """
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
        -- Whoever was held up between the two could meet the sequence a round later: only a turn of this ms counts.
        IF snowflake_now() = began THEN
            RETURN (began << 22) | (snowflake_worker() << 12) | turn;
        END IF;
    END LOOP;
END $$;
"""
BACKWARD = "DROP FUNCTION snowflake(); DROP FUNCTION snowflake_now(); DROP FUNCTION snowflake_worker(); DROP SEQUENCE snowflake_sequence;"


class Migration(migrations.Migration):
    initial = True
    run_before = [("merchants", "0001_initial"), ("invoices", "0001_initial"), ("webhooks", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
