#!/bin/bash
# cluster.sh COMMAND: a throw-away server with pg_trickle, for developers.
#
#   start       build, install privately, start, and create the extension in
#               database postgres
#   restart     the same for a running server: takes changed code
#   stop        stop it; its data stays
#   psql ...    connect as superuser; arguments go to psql
#   run CMD ... run a command with PATH, PGHOST, PGPORT, PGUSER and PGDATABASE
#               set (pgbench, pg_dump, a script)
#   status      say whether it runs, and where
#   destroy     stop it and remove its data
#
# Variables, besides those of tools/lib.sh:
#   NAME        one of several servers (default: dev); data under build/<PG>/<NAME>
#   EXTRA_CONF  lines for postgresql.conf, at start and restart
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/lib.sh"

main() {
    command=${1:-start}
    shift || true
    if [ -n "${PG_CONFIG:-}" ]; then again="PG_CONFIG=$PG_CONFIG"; else again="PG=${PG:-15}"; fi
    pgt_choose_server
    pgt_choose_run_dir permanent
    dir=$PGT_RUN/${NAME:-dev}
    pgt_use_installation
    case $command in
        start) start ;;
        restart)
            pgt_build_and_install all
            pgt_cluster_stop "$dir"
            start
            ;;
        stop) pgt_cluster_stop "$dir" ;;
        psql) connected pgt_psql "$@" ;;
        run) connected "$@" ;;
        status)
            if pgt_cluster_running "$dir"; then
                echo "runs: PGHOST=$(readlink "$dir/socket") PGPORT=5432 PGUSER=postgres," \
                    "log $dir/log"
            else
                echo "does not run"
                exit 3
            fi
            ;;
        destroy)
            pgt_cluster_stop "$dir" immediate
            rm -rf "$dir"
            [ "$PGT_RUN" = "$PGT_BUILD" ] || rm -rf "$PGT_RUN"
            ;;
        *) pgt_die "unknown command \"$command\": see the head of tools/cluster.sh" ;;
    esac
}

start() {
    pgt_build_and_install all
    [ -f "$dir/data/PG_VERSION" ] ||
        pgt_cluster_init "$dir" "include_if_exists = 'extra.conf'"
    printf '%s\n' "${EXTRA_CONF:-}" >"$dir/data/extra.conf"
    if pgt_cluster_running "$dir"; then
        pgt_cluster_env "$dir"
        pgt_say "runs already; \"restart\" takes changed code"
    else
        pgt_cluster_start "$dir"
    fi
    pgt_psql -q -c "SET client_min_messages = warning; CREATE EXTENSION IF NOT EXISTS pg_trickle" ||
        pgt_say "warning: could not create the extension"
    pgt_say "$("$PG_CONFIG" --version) runs; connect with: $again${NAME:+ NAME=$NAME}" \
        "tools/cluster.sh psql"
}

connected() {
    pgt_cluster_running "$dir" || pgt_die "the server does not run: start it first"
    pgt_cluster_env "$dir"
    PATH=$PGT_BINDIR:$PATH "$@"
}

main "$@"
exit
