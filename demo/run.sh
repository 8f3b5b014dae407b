#!/bin/bash
# run.sh: stream tables over a live, writing server; "make demo" calls it.
#
#   demo/run.sh           build, start a private server, load data, run, verify;
#                         the server keeps running for you to look at
#   demo/run.sh remove    stop it and remove its data
#
# Variables, besides those of tools/lib.sh:
#   DEMO_SECONDS   how long the writers run (default 20)
#   DEMO_SCALE     TPC-H scale of the data (default 0.1)
#   DEMO_KEEP      0: remove the server at the end
# Exit status 0: every stream table equals its query.
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/../tools/lib.sh"

seconds=${DEMO_SECONDS:-20}
scale=${DEMO_SCALE:-0.1}
writers=3
children=()
done=
failed=

main() {
    if [ -n "${PG_CONFIG:-}" ]; then again="PG_CONFIG=$PG_CONFIG demo/run.sh"; else again="PG=${PG:-15} demo/run.sh"; fi
    pgt_choose_server
    pgt_choose_run_dir permanent
    dir=$PGT_RUN/demo
    pgt_use_installation
    if [ "${1:-}" = remove ]; then
        remove
        pgt_say "removed"
        exit 0
    fi
    [ $# = 0 ] || pgt_die "unknown argument \"$1\": see the head of demo/run.sh"

    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    step "building for $("$PGT_BASE_CONFIG" --version)"
    pgt_build_and_install all
    remove
    step "starting a private server under ${dir#"$PGT_ROOT"/}"
    pgt_cluster_init "$dir" "shared_buffers = 512MB" "work_mem = 64MB" "max_wal_size = 4GB" \
        "synchronous_commit = off" "jit = off" "checkpoint_timeout = 30min" "wal_level = replica"
    pgt_cluster_start "$dir"
    pgt_psql -q -c "CREATE DATABASE demo"
    export PGDATABASE=demo
    pgt_psql -q -c "CREATE EXTENSION pg_trickle"
    step "loading TPC-H-like data at scale $scale"
    run_sql test/workload/tpch_data.sql -v scale="$scale"
    step "creating stream tables, each with schedule 1s"
    run_sql demo/stream_tables.sql
    step "$writers writers change all eight tables for $seconds s; the scheduler keeps up"
    start_writers
    watch
    wait_for_children
    step "writers stopped; waiting until everything is fresh"
    wait_until_fresh
    verify
}

step() { echo "-- $*"; }

run_sql() {
    local file=$1
    shift
    pgt_psql -q "$@" <"$PGT_ROOT/$file" >/dev/null
}

query() { pgt_psql -qAt "$@"; }

remove() {
    pgt_cluster_stop "$dir" immediate
    rm -rf "$dir"
}

# ---------------------------------------------------------------------------
# Writers and the screen
# ---------------------------------------------------------------------------

start_writers() {
    local i
    for ((i = 1; i <= writers; i++)); do
        query -c "CALL demo.write($seconds, 0.$i)" &
        children+=($!)
    done
}

wait_for_children() {
    local pid
    for pid in "${children[@]}"; do
        wait "$pid" || { pgt_say "a writer failed"; failed=1; }
    done
    children=()
}

writers_run() {
    local pid
    for pid in "${children[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then return 0; fi
    done
    return 1
}

screen() {
    query -F ' ' <<'SQL'
SELECT format('%-16s %-21s %8s %8s %7s %8s  %-12s %8s', 'stream table', 'shows', 'rows',
              'pending', 'stale s', 'last ms', 'by', 'full ms');
SELECT format('%-16s %-21s %8s %8s %7s %8s  %-12s %8s', name, shows, rows, pending,
              to_char(stale, 'FM990.0'), to_char(h.duration_ms, 'FM99990.0'), lower(h.action),
              to_char(full_ms, 'FM99990.0'))
  FROM demo.screen() s LEFT JOIN LATERAL pgtrickle.get_refresh_history(s.name, 1) h ON true
 ORDER BY n;
SELECT format('%s writing transactions so far', last_value) FROM demo.transactions;
SQL
}

# Redrawn in place on a terminal; elsewhere every five seconds.
watch() {
    local text lines=0 began=$SECONDS tty='' pause=5
    if [ -t 1 ]; then tty=1 pause=0.5; fi
    while writers_run; do
        sleep "$pause"
        text="$(screen)" || break
        if [ -n "$tty" ]; then
            [ "$lines" = 0 ] || printf '\033[%dA' "$lines"
            text=$(sed $'s/$/\033[K/' <<<"$text")
        fi
        printf '%s, %s s of %s\n%s\n' "$(date +%T)" "$((SECONDS - began))" "$seconds" "$text"
        lines=$(($(wc -l <<<"$text") + 1))
    done
}

# The scheduler refreshes everything once more; if it does not, we do.
wait_until_fresh() {
    local i stopped
    stopped=$(query -c "SELECT clock_timestamp()")
    for ((i = 0; i < 100; i++)); do
        if [ "$(query -c "SELECT bool_and(now() - get_staleness * interval '1 s' > '$stopped')
                FROM demo.tables, pgtrickle.get_staleness(name)")" = t ]; then
            return
        fi
        sleep 0.2
    done
    pgt_say "the scheduler did not refresh everything within 20 s: refreshing by hand"
    query -c "SELECT pgtrickle.refresh_stream_table(name) FROM demo.tables ORDER BY n" >/dev/null
}

# ---------------------------------------------------------------------------
# Verdict
# ---------------------------------------------------------------------------

verify() {
    local bad
    step "each stream table against its query, EXCEPT ALL both ways"
    query -F ' ' <<'SQL'
SELECT format('%-16s %-9s refreshed %s times (%s), on average in %s ms',
              t.name, CASE d WHEN 0 THEN 'equal' ELSE d || ' rows DIFFER' END, h.n, h.how, round(h.ms::numeric, 1))
  FROM demo.tables t, demo.difference(t.name, t.query) d,
       LATERAL (SELECT sum(n) AS n, string_agg(format('%s %s', n, lower(action)), ', ' ORDER BY n DESC) AS how,
                       sum(ms * n) / sum(n) AS ms
                  FROM (SELECT action, count(*) AS n, avg(duration_ms) AS ms
                          FROM pgtrickle.get_refresh_history(t.name, 10000) GROUP BY 1) a) h
 ORDER BY t.n;
SQL
    bad=$(query -c "SELECT count(*) FROM demo.tables WHERE demo.difference(name, query) <> 0")
    echo
    if [ "$bad" = 0 ]; then
        echo "VERDICT: all $(query -c "SELECT count(*) FROM demo.tables") stream tables equal their queries."
    else
        echo "VERDICT: $bad stream tables DIFFER from their queries."
    fi
    if [ "${DEMO_KEEP:-1}" = 0 ]; then
        remove
    else
        cat <<END

The server keeps running. Connect to it:
    $PGT_BINDIR/psql -h $PGHOST -U postgres demo
and try, for instance:
    SELECT * FROM pgtrickle.pgt_status();
    SELECT * FROM pgtrickle.explain_st('nation_revenue');
    CALL demo.write(10, 0.5);     -- ten seconds of changes
Stop it and remove everything:
    $again remove
END
    fi
    done=1
    [ "$bad" = 0 ] && [ -z "$failed" ]
}

# Interrupted or failed: nothing of ours keeps running. A finished demo keeps
# its server.
cleanup() {
    local status=$? pid
    trap - EXIT
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    if [ -z "$done" ]; then
        if [ -f "$dir/log" ]; then
            cp "$dir/log" "$PGT_BUILD/demo.log"
            pgt_say "the server's log is build/$PGT_PG/demo.log"
        fi
        remove
    fi
    exit "$status"
}

main "$@"
exit
