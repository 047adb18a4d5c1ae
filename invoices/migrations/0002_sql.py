"""What only SQL can make: the audit that refuses to be changed, how the hot table is kept, and the search terms."""

from django.db import migrations

AUDIT = """
CREATE FUNCTION refuse_to_rewrite_the_audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The audit is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON invoices_invoiceaudittracing
    FOR EACH ROW EXECUTE FUNCTION refuse_to_rewrite_the_audit();
"""
NO_AUDIT = """
DROP TRIGGER audit_is_append_only ON invoices_invoiceaudittracing;
DROP FUNCTION refuse_to_rewrite_the_audit();
"""
HOT = """
ALTER TABLE invoices_invoice SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000, autovacuum_analyze_scale_factor = 0.01);
"""
NOT_HOT = """
ALTER TABLE invoices_invoice RESET (fillfactor, autovacuum_vacuum_scale_factor,
    autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
"""
# Decomposed first, so that any locale can lower what is left; đ has no accent to take away.
# normalize() needs a database in UTF-8, as ours is.
TERMS = r"""
CREATE FUNCTION plain_words(text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT word), '{}') FROM regexp_split_to_table(
        lower(translate(regexp_replace(normalize(coalesce($1, ''), NFD), '[\u0300-\u036f]', '', 'g'), 'Đđ', 'dd')),
        '[][\s.,;:()"''“”‘’/&+*|_-]+') AS word
    WHERE word <> ''
$$;
CREATE FUNCTION buyer_terms(jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT plain_words(concat_ws(' ', $1->>'name', $1->>'legalName')) || array_remove(ARRAY[
        $1->>'taxCode', split_part($1->>'taxCode', '-', 1), $1->>'personalId', $1->>'phone', lower($1->>'email')], NULL)
$$;
CREATE FUNCTION keep_buyer_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.buyer = '{}' THEN
        DELETE FROM invoices_buyerterms WHERE invoice_id = NEW.id;
    ELSE
        INSERT INTO invoices_buyerterms (invoice_id, terms) VALUES (NEW.id, buyer_terms(NEW.buyer))
        ON CONFLICT (invoice_id) DO UPDATE SET terms = EXCLUDED.terms;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER new_buyer_has_terms AFTER INSERT ON invoices_invoice
    FOR EACH ROW WHEN (NEW.buyer <> '{}') EXECUTE FUNCTION keep_buyer_terms();
CREATE TRIGGER changed_buyer_has_terms AFTER UPDATE OF buyer ON invoices_invoice
    FOR EACH ROW WHEN (NEW.buyer <> OLD.buyer) EXECUTE FUNCTION keep_buyer_terms();
"""
NO_TERMS = """
DROP TRIGGER new_buyer_has_terms ON invoices_invoice;
DROP TRIGGER changed_buyer_has_terms ON invoices_invoice;
DROP FUNCTION keep_buyer_terms();
DROP FUNCTION buyer_terms(jsonb);
DROP FUNCTION plain_words(text);
"""


class Migration(migrations.Migration):
    dependencies = [("invoices", "0001_initial")]
    operations = [
        migrations.RunSQL(AUDIT, NO_AUDIT),
        migrations.RunSQL(HOT, NOT_HOT),
        migrations.RunSQL(TERMS, NO_TERMS),
    ]
