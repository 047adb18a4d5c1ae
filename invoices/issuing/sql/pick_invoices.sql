-- Locks due invoices of the locked accounts, of any partition: for each account as many as it has free slots, only of
-- the oldest day that it owes.
SELECT i.id
FROM unnest(%(accounts)s::bigint[], %(slots)s::int[]) AS lane(id, slots)
CROSS JOIN LATERAL (
    SELECT id FROM invoices_invoice
    WHERE state = 'QUEUED' AND account_id = lane.id AND not_before <= %(now)s AND issue_until > %(now)s
      AND partition <> ALL(%(paused)s)
      AND issue_date = (
          SELECT min(issue_date) FROM invoices_invoice
          WHERE account_id = lane.id AND state IN ('WAITING', 'QUEUED', 'SENDING', 'UNCERTAIN')
      )
    ORDER BY issue_date, id
    LIMIT greatest(
        0, lane.slots - (SELECT count(*) FROM invoices_invoice WHERE state = 'SENDING' AND account_id = lane.id)
    )
    FOR NO KEY UPDATE SKIP LOCKED
) AS i
LIMIT %(room)s
