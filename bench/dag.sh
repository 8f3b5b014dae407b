#!/bin/bash
# dag.sh: how the scheduler does; "make bench-dag" calls it.
#
#   propagation  from a commit until the last stream tables of a graph show the
#                change, with 1, 2 and 4 concurrent refreshes
#   parallel     two independent stream tables whose refreshes are bound by CPU, with
#                one worker and with two, beside the same computation in one plain
#                session and in two
#   idle         CPU time of a scheduler that has nothing to do, per look
#   writers      transactions per second, and CPU time of the writers themselves for
#                each, without capture, with capture only, and with the scheduler
#                refreshing as fast as it goes
#
# The variants alternate in one run. The session that measures looks five
# thousand times a second, for parallel a hundred times. Variables, besides those of tools/lib.sh:
#   CYCLES      changes per graph and variant (default 24, in three rounds)
#   PARTS       of propagation parallel idle writers (default all)
#   TABLES      numbers of stream tables for idle (default "10 1000 10000")
#   SECONDS_EACH  seconds per look at idle (default 5)
#   ROUNDS      of writers (default 5, and one to warm up)
#   WRITE_SECONDS  seconds per run of writers (default 2)
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/../tools/lib.sh"

CYCLES=${CYCLES:-24}
PARTS=${PARTS:-propagation parallel idle writers}
TABLES=${TABLES:-10 1000 10000}
SECONDS_EACH=${SECONDS_EACH:-5}
ROUNDS=${ROUNDS:-5}
WRITE_SECONDS=${WRITE_SECONDS:-2}

main() {
    pgt_choose_server
    pgt_choose_run_dir permanent
    pgt_build_and_install all
    dir=$PGT_RUN/bench-dag
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    pgt_cluster_stop "$dir" immediate
    rm -rf "$dir"
    pgt_cluster_init "$dir" "shared_buffers = 512MB" "max_wal_size = 16GB" \
        "checkpoint_timeout = 1h" "autovacuum = off" "jit = off" \
        "synchronous_commit = off" "max_worker_processes = 24" \
        "max_locks_per_transaction = 1024" "shared_preload_libraries = 'pg_trickle'"
    pgt_cluster_start "$dir"
    pgt_psql -q -c "CREATE DATABASE bench"
    export PGDATABASE=bench
    pgt_psql -q -c "CREATE EXTENSION pg_trickle"
    run <"$PGT_ROOT/bench/dag.sql"
    echo "$("$PG_CONFIG" --version), $(nproc) cores, $CYCLES cycles, $(date -u +%F)"
    for part in $PARTS; do
        echo "-- $part (load $(cut -d' ' -f1 /proc/loadavg), after $SECONDS s)" >&2
        "part_$part"
    done
    echo "-- done after $SECONDS s" >&2
}

cleanup() {
    pgt_cluster_stop "$dir" immediate
    rm -rf "$dir"
}

run() { pgt_psql -q -v ON_ERROR_STOP=1 "$@" >/dev/null; }
value() { pgt_psql -qAt -c "$1"; }

# Concurrent refreshes from now on.
concurrency() {
    run -c "ALTER SYSTEM SET pg_trickle.max_concurrent_refreshes = $1"
    run -c "SELECT pg_reload_conf()"
    until [ "$(value "SELECT per_db_cap = $1 FROM pgtrickle.worker_pool_status()")" = t ]; do :; done
}

# Name, call that makes it, sources, ends, rows changed, seconds between looks.
graph() {
    local name=$1 make=$2 sources=$3 ends=$4 rows=$5 every=${6:-0.0002} round workers
    run -c "SET client_min_messages = warning" -c "CALL dag.$make"
    for round in 0 1 2 3; do
        for workers in 1 2 4; do
            concurrency "$workers"
            # the first round is for warm plans
            run -c "CALL dag.measure('$name', '$workers', $((round ? CYCLES / 3 : 3)), $sources, $ends, $rows, $every, $round > 0)"
        done
    done
}

report() {
    pgt_psql -q -P footer=off -c "SELECT what, variant AS concurrent, count(*) AS n,
        round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 2) AS median_ms,
        round(percentile_cont(0.95) WITHIN GROUP (ORDER BY ms)::numeric, 2) AS p95_ms
        FROM dag.result GROUP BY what, variant ORDER BY min(ctid), variant" -c "TRUNCATE dag.result"
}

part_propagation() {
    local n
    for n in 1 5 10 20; do
        graph "chain of $n" "make_columns(1, $n)" "'{src}'" "dag.bottom(1, $n)" 1
    done
    graph "wide 3 x 20" "make_columns(20, 3)" "'{src}'" "dag.bottom(20, 3)" 1
    graph "wide 5 x 20" "make_columns(20, 5)" "'{src}'" "dag.bottom(20, 5)" 1
    graph "tree 1-3-9" "make_tree(3, 3)" "'{src}'" "dag.bottom(9, 3)" 1
    graph "diamond" "make_diamond()" "'{src}'" "dag.bottom(1, 1)" 1
    graph "mixed, 15" "make_mixed()" "'{src}'" "dag.bottom(1, 1)" 1
    report
}

# In turn: the two refreshes with one worker and with two, and what they compute in
# one plain session and in two, which is what the machine gives at that time.
part_parallel() {
    local round cycles=$((CYCLES / 3)) rows=100 n
    run -c "SET client_min_messages = warning" -c "CALL dag.make_branches()"
    for round in 0 1 2 3; do
        for n in 1 2; do
            concurrency "$n"
            # they take a third of a second each; looking all the time would take CPU time from them
            run -c "CALL dag.measure('two branches', '$n', $((round ? cycles : 3)), '{src,other}', dag.bottom(2, 1), $rows, 0.01, $round > 0)"
        done
        [ "$round" = 0 ] || for ((n = 0; n < cycles; n++)); do
            compute 1 "$rows" 2
            compute 2 "$rows" 1
        done
    done
    pgt_psql -q -P footer=off -c "SELECT * FROM dag.parallel_report" -c "TRUNCATE dag.result, dag.plain"
}

# So many sessions begin at the same time, each computing so many rows so many times.
compute() {
    local sessions=$1 rows=$2 times=$3 i begun
    begun=$(value "SELECT clock_timestamp() + '0.1 s'")
    for ((i = 0; i < sessions; i++)); do
        run -c "CALL dag.compute($sessions, '$begun', $rows, $times)" &
    done
    wait
}

scheduler_pid() {
    value "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_trickle scheduler' AND datname = 'bench'"
}

# Nanoseconds of CPU that the scheduler has used.
cpu() { cut -d' ' -f1 "/proc/$1/schedstat"; }

part_idle() {
    local n i made=0 pid before looks settled
    run -c "SET client_min_messages = warning" -c "DROP SCHEMA IF EXISTS g CASCADE" -c "CREATE SCHEMA g" -c "CREATE TABLE g.src (id int PRIMARY KEY, v int)"
    for n in $TABLES; do
        for ((i = made; i < n; i += 100)); do
            run -c "SET client_min_messages = warning" -c "SELECT pgtrickle.create_stream_table('g.st_' || i, 'SELECT id, v FROM g.src WHERE v = ' || i, '1s')
                FROM generate_series($i, $((i + 100 > n ? n : i + 100)) - 1) i"
        done
        made=$n
        pid=$(scheduler_pid)
        # until it has refreshed all of them once, and a second passes without work
        settled=
        until [ "$settled" = "$(value "SELECT pg_snapshot_xmax(pg_current_snapshot())")" ]; do
            settled=$(value "SELECT pg_snapshot_xmax(pg_current_snapshot())")
            sleep 3
        done
        before=$(cpu "$pid")
        sleep "$SECONDS_EACH"
        looks=$SECONDS_EACH
        echo "idle, $n stream tables: $(((($(cpu "$pid") - before)) / looks / 1000)) us of CPU per second (one look)"
    done
}

# Two sessions write as fast as they can: a table that nobody reads, one whose
# changes are captured, one whose stream tables are refreshed all the time. All three
# are there from the beginning, so that nothing has to be switched between runs, which
# are short, many, and in turn.
part_writers() {
    local round variant
    run -c "SET client_min_messages = warning" -c "CALL dag.make_written()"
    for ((round = 0; round <= ROUNDS; round++)); do
        for variant in $(rotate "$round" none capture full); do
            run -c "CALL dag.write($round, '$variant', $WRITE_SECONDS, 1)" &
            run -c "CALL dag.write($round, '$variant', $WRITE_SECONDS, 2)"
            wait $!
            run -c "CALL dag.settle()"
        done
    done
    pgt_psql -q -P footer=off -c "SELECT * FROM dag.writers_report"
    [ "$(value "SELECT dag.written_is_equal()")" = t ] || pgt_die "a stream table differs from its query"
}

# The arguments after the first, begun with another one each time.
rotate() {
    local n=$1 i
    shift
    for ((i = 0; i < $#; i++)); do
        local at=$(((n + i) % $# + 1))
        echo "${!at}"
    done
}

main "$@"
exit
