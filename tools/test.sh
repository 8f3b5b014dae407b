#!/bin/bash
# test.sh: build pg_trickle and run its tests in throw-away clusters; "make
# test" calls it. Closes with one line "N passed, M failed", which counts test
# files of all kinds. Fails when a test failed, or none ran.
#
# Results and logs stay under build/<PG>/: regression.diffs, regress/results,
# isolation/results, tap/tmp_check/log and the server's log.
#
# Variables, besides those of tools/lib.sh:
#   TESTS       kinds to run (default: unit regress isolation tap)
#   REGRESS     only these of test/sql, in this order, without .sql
#   ISOLATION   only these of test/specs, without .spec
#   TAP         only these of test/t, without .pl
#   UNIT        only these of test/unit, without .c
#               Naming tests of some kinds runs only those kinds, unless TESTS
#               is given.
#   TAP_JOBS    TAP files at a time (default 1)
#   EXTRA_CONF  lines for postgresql.conf, for unit, regress and isolation
#               (say debug_discard_caches=1)
#   TEST_TIMEOUT  seconds that all tests of one kind may take (default 1200)
#   ACCEPT      1: take the output of failed regression and isolation tests as
#               the expected one; review it with git diff
#   KEEP        1: leave the clusters' data, stopped, for inspection
# shellcheck disable=SC2317  # functions called through a name
set -euo pipefail
exec 2>&1
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/lib.sh"

passed=0
failed=0
child=
cluster=
exit_status=1

main() {
    if [ -z "${TESTS:-}" ]; then
        TESTS="${UNIT:+unit} ${REGRESS:+regress} ${ISOLATION:+isolation} ${TAP:+tap}"
        [ -n "${TESTS// /}" ] || TESTS="unit regress isolation tap"
    fi
    trap cleanup EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    check_names
    pgt_choose_server
    exec 8>"$PGT_BUILD/.test.lock"
    flock -n 8 || { pgt_say "waiting for another test run in build/$PGT_PG"; flock 8; }
    pgt_choose_run_dir temporary
    cluster=$PGT_RUN/cluster
    targets=(all)
    if wanted unit && has_unit_tests; then targets+=(unit); fi
    pgt_build_and_install "${targets[@]}"
    pgt_say "testing on $("$PG_CONFIG" --version)"
    prepare
    if wanted unit || wanted regress || wanted isolation; then
        # explicit refreshes only: TAP tests have servers of their own
        pgt_cluster_init "$cluster" "pg_trickle.enabled = off" "${EXTRA_CONF:-}"
        pgt_cluster_start "$cluster"
    fi
    for kind in unit regress isolation tap; do
        if wanted $kind; then "run_$kind"; fi
    done
    check_log
    if [ $((passed + failed)) = 0 ]; then pgt_say "no test ran"; fi
    exit_status=$((failed > 0 || passed == 0))
}

wanted() { [[ " $TESTS " = *" $1 "* ]]; }

has_unit_tests() { compgen -G "$PGT_ROOT/test/unit/*.c" >/dev/null; }

# Both kinds keep their expected output in one folder.
check_names() {
    local both
    both=$(comm -12 <(list_tests "" test/sql sql | tr ' ' '\n' | sort) \
        <(list_tests "" test/specs spec | tr ' ' '\n' | sort) | xargs)
    [ -z "$both" ] || pgt_die "regression and isolation test of the same name: $both"
}

# Names of the files DIR/*.SUFFIX, or those asked for.
list_tests() {
    local asked=$1 dir=$2 suffix=$3 file
    if [ -n "$asked" ]; then
        echo "$asked"
        return
    fi
    for file in "$PGT_ROOT/$dir"/*."$suffix"; do
        if [ -e "$file" ]; then basename "$file" ".$suffix"; fi
    done | LC_ALL=C sort | xargs
}

# A copy of the tests that the server's user can read, and empty folders for
# results that it can write.
prepare() {
    local dir
    pgt_stop_servers "$PGT_RUN/cluster" immediate
    pgt_stop_servers "$PGT_RUN/tap" immediate
    rm -rf "$cluster" "$PGT_RUN/test"
    rm -f "$PGT_BUILD/regression.diffs"
    cp -a "$PGT_BUILD/src/test" "$PGT_RUN/test"
    mkdir -p "$PGT_RUN/test/expected"
    chmod -R a+rX "$PGT_RUN/test"
    for dir in regress isolation tap; do
        rm -rf "${PGT_RUN:?}/$dir"
        mkdir -p "$PGT_RUN/$dir"
        [ -z "$PGT_USER" ] || chown "$PGT_USER" "$PGT_RUN/$dir"
    done
}

# Run a command as the server's user in a process group of its own, so that an
# interrupt can end all of it; show its output and keep it in a file.
run_logged() {
    local log=$1 status=0
    shift
    set -m
    (cd "$PGT_RUN" && pgt_as_user timeout --foreground "${TEST_TIMEOUT:-1200}" "$@" 2>&1 |
        tee "$log") </dev/null &
    child=$!
    set +m
    wait "$child" || status=$?
    kill -TERM -- "-$child" 2>/dev/null || true
    child=
    [ "$status" != 124 ] || pgt_say "stopped after TEST_TIMEOUT=${TEST_TIMEOUT:-1200} seconds"
    return "$status"
}

count() {
    local kind=$1 total=$2 good=$3
    passed=$((passed + good))
    failed=$((failed + total - good))
    pgt_say "$kind: $good of $total passed"
}

# Each test/unit/NAME.c has a function unit_NAME in a library of its own; it
# returns the number of failed checks.
run_unit() {
    local names name good=0 total=0 result lib=$PGT_RUN/pg_trickle_unit
    names=$(list_tests "${UNIT:-}" test/unit c)
    [ -n "$names" ] || return 0
    cp "$PGT_BUILD/src/pg_trickle_unit.so" "$PGT_RUN/"
    for name in $names; do
        [ "$name" != unit ] || continue
        total=$((total + 1))
        result=$(pgt_psql -qAt 2>&1 <<SQL || true
CREATE FUNCTION pg_temp.unit_$name() RETURNS int AS '$lib', 'unit_$name' LANGUAGE c;
SELECT pg_temp.unit_$name();
SQL
        )
        if [ "$(tail -n 1 <<<"$result")" = 0 ]; then
            good=$((good + 1))
            pgt_say "unit $name ... ok"
        else
            pgt_say "unit $name ... FAILED"
            pgt_say "$result"
        fi
    done
    [ "$total" = 0 ] || count unit "$total" "$good"
}

run_regress() {
    run_pg_regress regress "$(list_tests "${REGRESS:-}" test/sql sql)" \
        "$PGT_PGXS_DIR/test/regress/pg_regress"
}

run_isolation() {
    run_pg_regress isolation "$(list_tests "${ISOLATION:-}" test/specs spec)" \
        "$PGT_PGXS_DIR/test/isolation/pg_isolation_regress"
}

# KIND, its tests, the program. The output of 15 has "test NAME ... ok", that
# of 16 and later has TAP's "ok 1 - NAME".
run_pg_regress() {
    local kind=$1 tests=$2 program=$3 test out=$PGT_RUN/$1
    [ -n "$tests" ] || return 0
    # one without expected output would end the whole run
    for test in $tests; do
        if [ ! -e "$PGT_RUN/test/expected/$test.out" ]; then
            pgt_say "$test has no expected output; see build/$PGT_PG/$kind/results/$test.out"
            echo >"$PGT_RUN/test/expected/$test.out"
        fi
    done
    # shellcheck disable=SC2086
    run_logged "$PGT_BUILD/$kind.out" "$program" --inputdir="$PGT_RUN/test" \
        --outputdir="$out" --bindir="$PGT_BINDIR" --dbname="pgt_$kind" \
        --load-extension=pg_trickle $tests || true
    # shellcheck disable=SC2086
    count "$kind" "$(wc -w <<<"$tests")" \
        "$(grep -cE '^(test .* \.\.\. ok|ok [0-9]+) ' "$PGT_BUILD/$kind.out" || true)"
    if [ "${ACCEPT:-}" = 1 ]; then accept "$kind" "$tests"; fi
    if [ -s "$out/regression.diffs" ]; then
        cat "$out/regression.diffs" >>"$PGT_BUILD/regression.diffs"
        pgt_say "--- the end of build/$PGT_PG/regression.diffs:"
        tail -n 100 "$out/regression.diffs" >&2
    fi
}

# Take the results of the tests that were not ok. KIND, its tests.
accept() {
    local kind=$1 tests=$2 test
    for test in $tests; do
        if [ -f "$PGT_RUN/$kind/results/$test.out" ] &&
            ! grep -qE "^(test +$test +\.\.\. ok|ok [0-9]+ +- $test) " "$PGT_BUILD/$kind.out"; then
            cat "$PGT_RUN/$kind/results/$test.out" >"$PGT_ROOT/test/expected/$test.out"
            pgt_say "accepted test/expected/$test.out"
        fi
    done
}

# For tests of random cases: other ones for each commit, the same for everybody.
commit_seed() {
    local id
    id=$(git -C "$PGT_ROOT" rev-parse HEAD 2>/dev/null) || id=0
    echo $((16#${id:0:5} * 1000))
}

run_tap() {
    local names name files=() out=$PGT_RUN/tap
    names=$(list_tests "${TAP:-}" test/t pl)
    [ -n "$names" ] || return 0
    for name in $names; do files+=("$PGT_RUN/test/t/$name.pl"); done
    # PostgreSQL::Test reads TESTDIR up to 15, the other two from 16 on
    run_logged "$PGT_BUILD/tap.out" env -C "$out" \
        TESTDIR="$out" TESTDATADIR="$out/tmp_check" TESTLOGDIR="$out/tmp_check/log" \
        PG_REGRESS="$PGT_PGXS_DIR/test/regress/pg_regress" PG_TEST_TIMEOUT_DEFAULT=120 \
        ORACLE_SEED="${ORACLE_SEED:-$(commit_seed)}" PATH="$PGT_BINDIR:$PATH" PGPORT=65432 PGHOST= PGUSER= PGDATABASE= \
        prove --timer -j "${TAP_JOBS:-1}" -I "$PGT_PGXS_DIR/test/perl" -I "$PGT_RUN/test/perl" \
        "${files[@]}" || true
    count tap ${#files[@]} "$(grep -cE '\.pl \.+ ok( |$)' "$PGT_BUILD/tap.out" || true)"
}

# A crash that no test noticed (of a background worker) is a failure, too.
check_log() {
    if grep -E 'TRAP: |PANIC: |was terminated by signal' "$cluster/log" 2>/dev/null; then
        pgt_say "the server crashed; see build/$PGT_PG/server.log"
        failed=$((failed + 1))
    fi
}

# Leaves the results under PGT_BUILD, and nothing running. A run that did not
# come to its end counts as a failure.
cleanup() {
    local status=$?
    trap - EXIT
    if [ -n "$child" ]; then kill -TERM -- "-$child" 2>/dev/null || true; fi
    if [ -n "$cluster" ]; then leave_results; fi
    if [ "$status" != 0 ] && [ "$failed" = 0 ]; then failed=1; fi
    echo "$passed passed, $failed failed"
    exit "$((status ? status : exit_status))"
}

leave_results() {
    local dir
    pgt_cluster_stop "$cluster" immediate
    pgt_stop_servers "$PGT_RUN/tap" immediate
    [ "${KEEP:-}" = 1 ] || rm -rf "$PGT_RUN"/tap/tmp_check/*_data
    if [ -f "$cluster/log" ]; then cp "$cluster/log" "$PGT_BUILD/server.log"; fi
    if [ -n "$PGT_RUN_TEMPORARY" ]; then
        for dir in regress isolation tap; do
            rm -rf "${PGT_BUILD:?}/$dir"
            if [ -d "$PGT_RUN/$dir" ]; then cp -r "$PGT_RUN/$dir" "$PGT_BUILD/"; fi
        done
        rm -rf "$PGT_RUN"
    elif [ "${KEEP:-}" != 1 ]; then
        rm -rf "$cluster"
    fi
}

main
exit
