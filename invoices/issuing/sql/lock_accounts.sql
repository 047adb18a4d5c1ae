-- Locks, in id order, at most `room` accounts that can send now. One row each: id, how many calls may be open at once,
-- and whether an invoice is due of an earlier day than the account has already sent.
--
-- The recursion steps from account to account through the index, so a backlog of a million rows costs as much as one
-- row. The accounts that were just freed come last. OFFSET 0 keeps the planner from looking at any account after `room`
-- of them are found.
WITH RECURSIVE lane(id) AS (
    (
        SELECT account_id FROM invoices_invoice
        WHERE state = 'QUEUED' AND partition = %(partition)s AND account_id > %(after)s
        ORDER BY account_id LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT account_id FROM invoices_invoice
        WHERE state = 'QUEUED' AND partition = %(partition)s AND account_id > lane.id
        ORDER BY account_id LIMIT 1
    )
    FROM lane WHERE lane.id IS NOT NULL
),
chosen(id) AS (
    SELECT next.id
    FROM (
        SELECT id FROM lane WHERE NOT %(paused_here)s
        UNION ALL
        SELECT unnest(%(freed)s::bigint[])
    ) AS next(id),
    LATERAL (
        SELECT FROM merchants_provideraccount a
        JOIN merchants_merchant m ON m.id = a.merchant_id
        WHERE a.id = next.id
          AND NOT m.paused
          AND a.is_active AND NOT a.paused AND a.deleted_at IS NULL
          AND (a.parked_until IS NULL OR (a.parked_until <= %(now)s AND NOT a.parked_for_login))
          -- it has a free slot
          AND (SELECT count(*) FROM invoices_invoice WHERE state = 'SENDING' AND account_id = a.id)
              < CASE WHEN a.parked_until IS NULL
                     THEN coalesce(a.in_flight, (%(limits)s::jsonb ->> a.provider)::int) ELSE 1 END
          -- something of the oldest day that it owes is due
          AND (
              SELECT true FROM invoices_invoice
              WHERE state = 'QUEUED' AND account_id = a.id AND not_before <= %(now)s AND issue_until > %(now)s
                AND partition <> ALL(%(paused)s)
                AND issue_date = (
                    SELECT min(issue_date) FROM invoices_invoice
                    WHERE account_id = a.id AND state IN ('WAITING', 'QUEUED', 'SENDING', 'UNCERTAIN')
                )
              ORDER BY issue_date, id LIMIT 1
          )
        OFFSET 0
    ) AS ready
    LIMIT %(room)s
)
SELECT
    a.id,
    -- a parked account is half-open: one trial invoice tests whether it works again
    CASE WHEN a.parked_until IS NULL THEN coalesce(a.in_flight, (%(limits)s::jsonb ->> a.provider)::int) ELSE 1 END,
    EXISTS (
        SELECT FROM invoices_invoice WHERE state = 'QUEUED' AND account_id = a.id AND issue_date < a.last_issue_date
    )
FROM merchants_provideraccount a
WHERE a.id IN (SELECT id FROM chosen)
  AND a.is_active AND NOT a.paused AND a.deleted_at IS NULL
  AND (a.parked_until IS NULL OR (a.parked_until <= %(now)s AND NOT a.parked_for_login))
ORDER BY a.id
FOR NO KEY UPDATE
