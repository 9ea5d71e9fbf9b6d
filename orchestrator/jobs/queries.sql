-- Every statement of the ledger, by name. `:name` are parameters. Paste any of it into `sqlite3 ledger.sqlite3`.

-- name: add
-- A new job, at the end of its priority.
INSERT INTO jobs (kind, title, state, workspace, priority, position, "window", at, retries, needs_card, chain,
                  estimate_low, estimate_high, added_at)
VALUES (:kind, :title, 'waiting', :workspace, :priority, (SELECT coalesce(max(position), 0) + 1 FROM jobs), :window,
        :at, :retries, :needs_card, :chain, :estimate_low, :estimate_high, :now)
RETURNING id;

-- name: add_payload
-- What the job needs, frozen; a table of its own, so that lists never read it.
INSERT INTO payloads (job, format, content) VALUES (:job, :format, :content);

-- name: add_need
-- `job` waits for `needs`.
INSERT OR IGNORE INTO dependencies (job, needs) VALUES (:job, :needs);

-- name: payload
-- The frozen content of one job.
SELECT format, content FROM payloads WHERE job = :job;

-- name: job
-- One job with its progress and what it waits for.
SELECT j.*, p.what, p.done, p.total, p.detail, p.left_s, p.at AS progress_at,
       (SELECT group_concat(needs) FROM dependencies d WHERE d.job = j.id) AS needs
FROM jobs j LEFT JOIN progress p ON p.job = j.id WHERE j.id = :id;

-- name: open
-- Jobs that may still run: what a worker chooses from. Uses the index jobs_by_state.
SELECT j.*, p.what, p.done, p.total, p.detail, p.left_s, p.at AS progress_at,
       (SELECT group_concat(needs) FROM dependencies d WHERE d.job = j.id) AS needs
FROM jobs j LEFT JOIN progress p ON p.job = j.id
WHERE j.state IN ('waiting', 'running', 'paused') ORDER BY j.priority DESC, j.position;

-- name: over
-- The newest jobs that are over. Uses the index jobs_by_end.
SELECT j.*, p.what, p.done, p.total, p.detail, p.left_s, p.at AS progress_at,
       (SELECT group_concat(needs) FROM dependencies d WHERE d.job = j.id) AS needs
FROM jobs j LEFT JOIN progress p ON p.job = j.id
WHERE j.ended_at >= :since ORDER BY j.ended_at DESC LIMIT :limit;

-- name: states_of_needs
-- In which state each job is that an open job waits for.
SELECT n.id, n.state FROM jobs n
WHERE n.id IN (SELECT d.needs FROM dependencies d JOIN jobs j ON j.id = d.job WHERE j.state IN ('waiting', 'paused'));

-- name: dependencies
-- Who waits for whom, of jobs that may still run.
SELECT d.job, d.needs FROM dependencies d JOIN jobs j ON j.id = d.job WHERE j.state IN ('waiting', 'running', 'paused');

-- name: counts
-- How many jobs are in each state.
SELECT state, count(*) AS jobs FROM jobs GROUP BY state;

-- name: claim
-- One worker takes a waiting job: of two that try, the second changes no row.
UPDATE jobs SET state = 'running', worker = :worker, attempts = attempts + 1, started_at = :now, ended_at = NULL,
                asked = '', why = '', retry_at = NULL, interrupted = 0
WHERE id = :id AND state = 'waiting' RETURNING id;

-- name: finish
-- Done. Only its own worker may say so: a job that was taken from a worker believed dead is not finished twice.
UPDATE jobs SET state = 'finished', ended_at = :now, worked_s = worked_s + max(0, :now - started_at), result = :result,
                worker = '', asked = '', why = '', failure = NULL, deaths = 0, death_place = ''
WHERE id = :id AND state = 'running' AND worker = :worker RETURNING id;

-- name: fail
-- Failed for good, or set aside (:state).
UPDATE jobs SET state = :state, ended_at = :now, worked_s = worked_s + max(0, :now - coalesce(started_at, :now)),
                worker = '', asked = '', why = '', failure = :failure, failures = failures + 1
WHERE id = :id AND state = 'running' AND worker = :worker RETURNING id;

-- name: fail_for_now
-- Failed, and tried again at :retry_at; one of its retries is used up.
UPDATE jobs SET state = 'waiting', worked_s = worked_s + max(0, :now - started_at), worker = '', asked = '',
                failure = :failure, failures = failures + 1, retries = retries - 1, retry_at = :retry_at, why = :why
WHERE id = :id AND state = 'running' AND worker = :worker RETURNING id;

-- name: put_back
-- Left off in the middle (:state is waiting, paused or cancelled); goes on from what it made so far.
UPDATE jobs SET state = :state, worked_s = worked_s + max(0, :now - coalesce(started_at, :now)), worker = '', asked = '',
                why = :why, retry_at = :retry_at, ended_at = CASE :state WHEN 'cancelled' THEN :now END
WHERE id = :id AND state = 'running' AND worker = :worker RETURNING id;

-- name: take_from_dead
-- Its worker is gone: back to waiting, or what was asked of it, or set aside when workers die of it.
UPDATE jobs SET state = :state, worker = '', asked = '', why = :why, deaths = :deaths, death_place = :place,
                failure = :failure, interrupted = (:state = 'waiting'),
                worked_s = worked_s + max(0, :last_seen - coalesce(started_at, :last_seen)),
                ended_at = CASE WHEN :state IN ('waiting', 'paused') THEN NULL ELSE :now END
WHERE id = :id AND state = 'running' AND worker = :worker AND asked = :asked RETURNING id;

-- name: ask
-- Ask something of a running job; its worker looks every second.
UPDATE jobs SET asked = :asked WHERE id = :id AND state = 'running' RETURNING id;

-- name: asked
-- What was asked of the job of this worker; no row when the job was taken from it.
SELECT asked FROM jobs WHERE id = :id AND state = 'running' AND worker = :worker;

-- name: set_state
-- A job that does not run changes its state by a command.
UPDATE jobs SET state = :state, why = '', retry_at = NULL,
                ended_at = CASE WHEN :state IN ('waiting', 'paused') THEN NULL ELSE :now END
WHERE id = :id AND state = :before RETURNING id;

-- name: try_again
-- A failed, cancelled or set aside job waits again, with a clean slate.
UPDATE jobs SET state = 'waiting', why = '', retry_at = NULL, ended_at = NULL, failures = 0, deaths = 0,
                death_place = '', failure = NULL, retries = max(retries, :retries), at = NULL
WHERE id = :id AND state IN ('failed', 'set aside', 'cancelled', 'waiting') RETURNING id;

-- name: set_priority
UPDATE jobs SET priority = :priority WHERE id = :id AND state IN ('waiting', 'running', 'paused') RETURNING id;

-- name: set_position
UPDATE jobs SET position = :position, priority = :priority
WHERE id = :id AND state IN ('waiting', 'running', 'paused') RETURNING id;

-- name: set_progress
-- How far a job is. Written without waiting for the disk: after a power cut the last second may be missing.
INSERT INTO progress (job, what, done, total, detail, left_s, at)
VALUES (:job, :what, :done, :total, :detail, :left_s, :at)
ON CONFLICT (job) DO UPDATE SET what = excluded.what, done = excluded.done, total = excluded.total,
                                detail = excluded.detail, left_s = excluded.left_s, at = excluded.at;

-- name: event
-- One line of a job's log.
INSERT INTO events (job, at, kind, text) VALUES (:job, :at, :kind, :text);

-- name: events
-- The log of one job after the event :after. Uses the index events_by_job.
SELECT id, job, at, kind, text FROM events WHERE job = :job AND id > :after ORDER BY id;

-- name: all_events
-- The log of all jobs after the event :after.
SELECT id, job, at, kind, text FROM events WHERE id > :after AND at >= :since ORDER BY id;

-- name: register
-- A worker begins.
INSERT INTO workers (id, host, pid, created, beat_at) VALUES (:id, :host, :pid, :created, :now);

-- name: beat
-- It is alive.
UPDATE workers SET beat_at = :now WHERE id = :id;

-- name: unregister
DELETE FROM workers WHERE id = :id;

-- name: workers
SELECT id, host, pid, created, beat_at FROM workers;

-- name: running
-- The jobs that are being worked on.
SELECT j.*, p.what, p.done, p.total, p.detail, p.left_s, p.at AS progress_at, NULL AS needs
FROM jobs j LEFT JOIN progress p ON p.job = j.id WHERE j.state = 'running';

-- name: timing
-- How long something took on this machine.
INSERT INTO timings (kind, units, seconds, at) VALUES (:kind, :units, :seconds, :at);

-- name: timings
-- The newest of a kind.
SELECT kind, units, seconds, at FROM timings WHERE kind = :kind ORDER BY id DESC LIMIT :limit;

-- name: get
SELECT value FROM facts WHERE name = :name;

-- name: set
INSERT INTO facts (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = excluded.value;

-- name: clear
-- Forget a fact that still is :value: of two that try, the second changes no row.
UPDATE facts SET value = '' WHERE name = :name AND value = :value RETURNING name;

-- name: prune
-- Forget jobs that were over before :before; not those that an open job waits for.
DELETE FROM jobs WHERE state IN ('finished', 'failed', 'set aside', 'cancelled') AND ended_at < :before
  AND id NOT IN (SELECT d.needs FROM dependencies d JOIN jobs j ON j.id = d.job
                 WHERE j.state IN ('waiting', 'running', 'paused'))
RETURNING id;
