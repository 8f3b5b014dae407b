#!/bin/bash
# run.sh: how fast refreshes and writes are; "make bench" calls it.
#
# Refreshes of five queries (the matrix of bench/setup.sql) at some table sizes
# and change rates: FULL by hand, AUTO and DIFFERENTIAL side by side in one
# run; the small refreshes; what capture costs writers; the memory of a very
# large refresh; TPC-H's queries. Read ratios: other work on the machine shifts
# all figures.
#
# Variables, besides those of tools/lib.sh:
#   ROWS        table sizes (default "10000 100000"; add 1000000 on request)
#   PCT         change rates in percent (default "1 10 50")
#   SCENARIOS   of scan filter aggregate join join_agg (default all)
#   CYCLES      cycles per cell (default 12)
#   PARTS       of matrix small large writes memory tpch graph (default all)
#   SCALE       TPC-H scales (default 0.1; add 1 on request)
#   TPCH_PCT    percent of the rows of all TPC-H tables that change at once
#               (default "0.01 0.1 1")
#   TPCH_CYCLES cycles per scale and percentage (default 3)
#   MEMORY_ROWS changed rows of the memory test (default 5000000)
# The result also goes to build/<PG>/bench.json and bench.txt.
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/../tools/lib.sh"

ROWS=${ROWS:-10000 100000}
PCT=${PCT:-1 10 50}
SCENARIOS=${SCENARIOS:-scan filter aggregate join join_agg}
CYCLES=${CYCLES:-12}
PARTS=${PARTS:-matrix small large writes memory tpch graph}
SCALE=${SCALE:-0.1}
TPCH_PCT=${TPCH_PCT:-0.01 0.1 1}
TPCH_CYCLES=${TPCH_CYCLES:-3}
MEMORY_ROWS=${MEMORY_ROWS:-5000000}

main() {
    local shared
    pgt_choose_server
    pgt_choose_run_dir permanent
    pgt_build_and_install all unit
    dir=$PGT_RUN/bench
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    pgt_cluster_stop "$dir" immediate
    rm -rf "$dir"
    # a quarter of the memory, at most 2 GB
    shared=$(awk '/^MemTotal/ { m = $2 / 4096; print int(m > 2048 ? 2048 : m) }' /proc/meminfo)
    pgt_cluster_init "$dir" "shared_buffers = ${shared}MB" "work_mem = 64MB" \
        "maintenance_work_mem = 256MB" "max_wal_size = 16GB" "checkpoint_timeout = 1h" \
        "autovacuum = off" "jit = off" "wal_level = replica" "synchronous_commit = off" \
        "fsync = on" "max_connections = 20"
    pgt_cluster_start "$dir"
    pgt_psql -q -c "CREATE DATABASE bench"
    export PGDATABASE=bench
    sql <"$PGT_ROOT/bench/setup.sql"
    sql <"$PGT_ROOT/bench/tpch.sql"
    echo "$("$PG_CONFIG" --version), $(nproc) cores, shared_buffers ${shared}MB," \
        "work_mem 64MB, $CYCLES cycles, $(date -u +%F)"
    for part in $PARTS; do
        echo "-- $part" >&2
        "part_$part"
    done
    report
}

sql() { pgt_psql -q "$@" 2>&1 >/dev/null | sed -u -n 's/^\(psql:[^ ]* \)\{0,1\}INFO:  //p; /ERROR\|WARNING/p' || true; }

part_matrix() {
    local rows pct scenario
    for rows in $ROWS; do
        for pct in $PCT; do
            for scenario in $SCENARIOS; do cell "$scenario" "$rows" "$pct"; done
        done
    done
}

# One session for a cell. The first reader of a change pays for what the next one
# finds done (hint bits, pages in the processor's cache), so the three come in all
# orders: with CYCLES a multiple of six, none is before another more often.
cell() {
    local scenario=$1 rows=$2 pct=$3 c mode
    local orders=("FULL AUTO INCR" "INCR AUTO FULL" "AUTO INCR FULL" "FULL INCR AUTO"
        "INCR FULL AUTO" "AUTO FULL INCR")
    {
        echo "SET client_min_messages = info;"
        echo "CALL bench.prepare('$scenario', $rows); VACUUM ANALYZE src, dim, twin, st_auto, st_incr;"
        for ((c = 1; c <= CYCLES; c++)); do
            echo "CALL bench.change($((rows * pct / 100)), $c); VACUUM src, twin, st_auto, st_incr;"
            for mode in ${orders[c % 6]}; do
                echo "CALL bench.measure('$scenario', $rows, $pct, $c, '$mode');"
            done
        done
        echo "CALL bench.check('$scenario', $rows, $pct);"
    } | sql
}

# No change, one row, a session's first refresh.
part_small() {
    local scenario i
    for scenario in scan aggregate join_agg; do
        sql <<SQL
CALL bench.prepare('$scenario', 100000);
VACUUM ANALYZE src, dim, st_incr;
CALL bench.repeat('refresh', 'no change, $scenario', 'st_incr', 300, 0, 0.1);
CALL bench.repeat('refresh', 'one row, $scenario', 'st_incr', 300, 1, 0.2);
SQL
        for ((i = 0; i < 11; i++)); do
            sql <<'SQL'
UPDATE src SET amount = amount + 1 WHERE id = 77;
CREATE TABLE IF NOT EXISTS bench.first (ms float8);
DO $$
DECLARE t timestamptz := clock_timestamp(); ms float8;
BEGIN ms := bench.ms_since(t); END $$;
SQL
            sql <<'SQL'
DO $$
DECLARE t timestamptz := clock_timestamp(); ms float8;
BEGIN ms := bench.ms_since(t); END $$;
DO $$
DECLARE t timestamptz; ms float8;
BEGIN
    t := clock_timestamp();
    PERFORM pgtrickle.refresh_stream_table('st_incr');
    ms := bench.ms_since(t);
    INSERT INTO bench.first VALUES (ms);
END $$;
SQL
        done
        sql <<SQL
INSERT INTO bench.figure (area, name, value, unit, bar)
SELECT 'refresh', 'first in a session, one row, $scenario', percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), 'ms', 3 FROM bench.first;
TRUNCATE bench.first;
SQL
    done
}

# 1000 changed rows on tables of three sizes: the delta must not grow with them.
part_large() {
    local scenario rows bar
    for scenario in scan aggregate join_agg; do
        for rows in 10000 100000 1000000; do
            bar=NULL
            if [ "$rows" = 1000000 ]; then
                bar=1
                if [ "$scenario" = scan ]; then bar=10; fi
            fi
            sql <<SQL
CALL bench.prepare('$scenario', $rows);
VACUUM ANALYZE src, dim, st_incr;
CALL bench.repeat('refresh', '1000 changes of $rows, $scenario', 'st_incr', 25, 1000, $bar);
INSERT INTO bench.figure (area, name, value, unit)
SELECT 'refresh', '1000 changes of $rows, $scenario, delta statement', percentile_cont(0.5) WITHIN GROUP (ORDER BY delta_ms), 'ms'
  FROM (SELECT delta_ms FROM pgtrickle.pgt_refresh_history JOIN pgtrickle.pgt_stream_tables USING (pgt_id)
         WHERE relid = 'st_incr'::regclass AND action = 'DIFFERENTIAL' ORDER BY refresh_id DESC LIMIT 20) h;
SQL
        done
    done
}

part_writes() {
    local width capture c variants
    for width in 5 20; do
        for capture in none statement row part; do
            echo "CALL bench.write_table($width, '$capture');"
        done
    done | sql
    pgt_psql -q -c "VACUUM ANALYZE"
    for ((c = 0; c < CYCLES + 2; c++)); do
        variants=(none statement row part)
        for width in 5 20; do
            for ((i = 0; i < 4; i++)); do
                capture=${variants[(i + c) % 4]}
                echo "VACUUM w${width}_$capture; CALL bench.write_bulk($width, '$capture');"
            done
        done | sql
        # the first cycle fills caches
        [ "$c" != 0 ] || pgt_psql -q -c "TRUNCATE bench.write"
    done
    for ((c = 0; c < 7; c++)); do
        for width in 5 20; do
            for ((i = 0; i < 4; i++)); do
                capture=${variants[(i + c) % 4]}
                echo "VACUUM w${width}_$capture; CALL bench.write_single($width, '$capture');" \
                    "CALL bench.loop_w${width}_$capture(5000);"
                [ "$capture" = none ] ||
                    echo "SELECT pgtrickle.refresh_stream_table('w${width}_${capture}_st');"
            done
        done | sql
    done
    if [ -x "$PGT_BINDIR/pgbench" ]; then
        for ((c = 0; c < 5; c++)); do
            for ((i = 0; i < 4; i++)); do pgbench_update 5 "${variants[(i + c) % 4]}"; done
        done
    fi
}

pgbench_update() {
    local width=$1 capture=$2 ms
    echo "\set id random(1, 100000)
UPDATE w${width}_$capture SET c1 = c1 + 1 WHERE id = :id;" >"$PGT_BUILD/bench.pgbench"
    ms=$("$PGT_BINDIR/pgbench" -n -M prepared -t 4000 -f "$PGT_BUILD/bench.pgbench" 2>/dev/null |
        sed -n 's/^latency average = \([0-9.]*\) ms.*/\1/p')
    echo "INSERT INTO bench.write VALUES ($width, '$capture', 'pgbench UPDATE', $ms);" | sql
    rm -f "$PGT_BUILD/bench.pgbench"
}

# Private memory of a backend that refreshes after a very large change.
part_memory() {
    local pid=$PGT_BUILD/bench.pid peak=0 rss backend job
    local idle
    sql <<SQL
DROP TABLE IF EXISTS st_auto, st_incr, twin, src, dim CASCADE;
CREATE TABLE big (id int PRIMARY KEY, v int NOT NULL, t text);
INSERT INTO big SELECT g, g % 1000, 'text ' || g % 100 FROM generate_series(1, $MEMORY_ROWS) g;
VACUUM ANALYZE big;
SELECT pgtrickle.create_stream_table('big_st', 'SELECT id, v, t FROM big', NULL, 'DIFFERENTIAL');
SELECT pgtrickle.create_stream_table('big_groups', 'SELECT v, count(*) AS n, sum(id) AS s FROM big GROUP BY v', NULL, 'DIFFERENTIAL');
UPDATE big SET v = v + 1;
SQL
    for st in big_st big_groups; do
        rm -f "$pid"
        peak=0
        pgt_psql -qAt <<SQL >/dev/null &
\o $pid.tmp
SELECT pg_backend_pid();
\o
\! mv $pid.tmp $pid
\! sleep 0.3
SET work_mem = '64MB';
DO \$\$
DECLARE t timestamptz := clock_timestamp();
BEGIN
    PERFORM pgtrickle.refresh_stream_table('$st');
    INSERT INTO bench.figure (area, name, value, unit) VALUES ('memory', '$MEMORY_ROWS changed rows, $st', bench.ms_since(t), 'ms');
END \$\$;
SQL
        job=$!
        while [ ! -s "$pid" ]; do sleep 0.05; done
        backend=$(cat "$pid")
        idle=$(anonymous_kb "$backend")
        while rss=$(anonymous_kb "$backend") && [ -n "$rss" ]; do
            if [ "$rss" -gt "$peak" ]; then peak=$rss; fi
            sleep 0.02
        done
        wait $job
        rm -f "$pid"
        sql <<SQL
INSERT INTO bench.figure (area, name, value, unit, bar)
VALUES ('memory', '$MEMORY_ROWS changed rows, $st: backend''s private memory', ($peak - ${idle:-0}) / 1024.0, 'MB', 256);
INSERT INTO bench.checked SELECT '$st', $MEMORY_ROWS, 100, '$st', count(*) FROM (
    (TABLE $st EXCEPT ALL SELECT * FROM bench.big_query('$st', NULL::$st))
    UNION ALL (SELECT * FROM bench.big_query('$st', NULL::$st) EXCEPT ALL TABLE $st)) d;
SQL
    done
}

# All of TPC-H's tables change, all queries are refreshed, one session.
part_tpch() {
    local scale pct c seed=0 file
    for scale in $SCALE; do
        echo "CALL bench.tpch_drop();" | sql
        for file in check tpch_data tpch_queries tpch_changes; do
            sql -v scale="$scale" <"$PGT_ROOT/test/workload/$file.sql"
        done
        {
            echo "SET client_min_messages = info;"
            echo "CALL bench.tpch_prepare(); VACUUM ANALYZE;"
            for pct in $TPCH_PCT; do
                for ((c = 1; c <= TPCH_CYCLES; c++)); do
                    seed=$((seed + 1))
                    echo "CALL bench.tpch_cycle($scale, $pct, $c, $seed);"
                done
                echo "VACUUM ANALYZE;"
            done
            echo "CALL bench.tpch_check($scale);"
        } | sql
    done
}

# The dependency graph alone: building it, components, levels, diamonds.
part_graph() {
    local shape n
    cp "$PGT_BUILD/src/pg_trickle_unit.so" "$PGT_RUN/"
    {
        echo "CREATE FUNCTION pg_temp.bench_dag(text, int) RETURNS float8 AS '$PGT_RUN/pg_trickle_unit', 'bench_dag' LANGUAGE c;"
        for shape in chain wide tree diamonds layers; do
            for n in 10 100 10000; do
                [ "$n" = 10000 ] || [ "$shape" = chain ] || continue
                echo "INSERT INTO bench.figure (area, name, value, unit) VALUES ('graph', '$shape of $n', pg_temp.bench_dag('$shape', $n), 'ms');"
            done
        done
    } | sql
}

anonymous_kb() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status" 2>/dev/null; }

report() {
    pgt_psql -q <"$PGT_ROOT/bench/report.sql" | tee "$PGT_BUILD/bench.txt"
    pgt_psql -qAt -o "$PGT_BUILD/bench.json" <<'SQL'
SELECT jsonb_pretty(jsonb_build_object(
    'server', current_setting('server_version'),
    'date', now(),
    'summary', (SELECT jsonb_agg(s ORDER BY rows, pct, n) FROM bench.summary s),
    'cells', (SELECT jsonb_agg(c) FROM bench.cell c),
    'cycles', (SELECT jsonb_agg(r ORDER BY seq) FROM bench.result r),
    'tpch', (SELECT jsonb_agg(t ORDER BY scale, pct, n) FROM bench.tpch_summary t),
    'figures', (SELECT jsonb_agg(f ORDER BY seq) FROM bench.figure f),
    'checked', (SELECT jsonb_agg(c) FROM bench.checked c)));
SQL
    echo "written: build/$PGT_PG/bench.json, build/$PGT_PG/bench.txt" >&2
    [ "$(pgt_psql -qAt -c "SELECT count(*) FROM bench.checked WHERE differing IS DISTINCT FROM 0")" = 0 ]
}

cleanup() {
    local status=$?
    trap - EXIT
    if [ "$status" != 0 ] && [ -f "$dir/log" ]; then cp "$dir/log" "$PGT_BUILD/bench.log"; fi
    pgt_cluster_stop "$dir" immediate
    rm -rf "$dir"
    exit "$status"
}

main "$@"
exit
