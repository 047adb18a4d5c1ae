"""What the database itself refuses: changing or removing an audit row. And how the hot table is kept."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION refuse_to_rewrite_the_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON invoices_invoiceaudittracing
    FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_the_audit();
ALTER TABLE invoices_invoice SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.01);
"""
BACKWARD = """
DROP TRIGGER audit_is_append_only ON invoices_invoiceaudittracing;
DROP FUNCTION refuse_to_rewrite_the_audit();
ALTER TABLE invoices_invoice RESET (fillfactor, autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
"""


class Migration(migrations.Migration):
    dependencies = [("invoices", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
