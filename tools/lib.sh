# lib.sh: what pg_trickle's scripts have in common. Sourced by bash, not run.
#
# A script that needs a server with the extension goes through these steps:
#
#   . tools/lib.sh
#   pgt_choose_server             # which server: sets PGT_BASE_CONFIG, PGT_BUILD, PGT_USER
#   pgt_choose_run_dir permanent  # where the server's user may write: sets PGT_RUN
#   pgt_build_and_install all     # compile, install privately: sets PG_CONFIG, PGT_BINDIR
#   pgt_cluster_init DIR          # initdb DIR/data
#   pgt_cluster_start DIR         # sets and exports PGHOST, PGPORT, PGUSER
#   pgt_psql ...                  # psql as superuser
#   pgt_cluster_stop DIR
#
# Nothing is installed into the server's own folders: PostgreSQL finds its
# files relative to the running binary, so a mirror of the installation, made
# of copied programs and links to everything else, takes the extension.
#
# Variables read:
#   PG          15 (default), 17, 18 or 18-assert; see tools/postgres.sh
#   PG_CONFIG   pg_config of another server, instead of PG
#   WERROR      1: compiler warnings are errors
#   PGT_CACHE   where built servers are kept
#   TMPDIR      for temporary files (default /var/tmp)
# shellcheck shell=bash
# shellcheck disable=SC2034  # variables set here are for the scripts

umask 022
PGT_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

# make hands its own flags and command line variables down to our sub-makes
unset MAKEFLAGS MAKEOVERRIDES MFLAGS MAKELEVEL
# connection defaults of the caller must not lead tests to another server
unset PGDATABASE PGHOST PGPORT PGUSER PGPASSWORD PGSERVICE PGOPTIONS PGDATA PGHOSTADDR

pgt_say() { echo "$*" >&2; }
pgt_die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# ---------------------------------------------------------------------------
# Debian packages
# ---------------------------------------------------------------------------

# The packages of the arguments that are not installed.
pgt_missing_packages() {
    local p
    for p; do
        dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null |
            grep -qx installed || echo "$p"
    done
}

# Install what is missing of the packages given, or name it and stop. Package
# installation starts no service and creates no database cluster.
pgt_need_packages() {
    local missing
    command -v dpkg-query >/dev/null || return 0
    missing=$(pgt_missing_packages "$@" | xargs)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        pgt_die "please install these packages first: $missing"
    fi
    pgt_say "installing packages: $missing"
    # shellcheck disable=SC2086
    pgt_apt_install $missing || pgt_die "could not install packages: $missing"
}

# In a subshell, whose end restores what is changed only for the installation.
pgt_apt_install() (
    policy=/usr/sbin/policy-rc.d
    conf=/etc/postgresql-common/createcluster.conf
    log=$(mktemp)
    saved=
    made_policy=
    # shellcheck disable=SC2317
    restore() {
        [ -z "$made_policy" ] || rm -f "$policy"
        if [ -n "$saved" ]; then cat "$saved" >"$conf"; fi
        rm -f "$log" "$saved"
    }
    trap restore EXIT
    apt_get() {
        DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
            "$@" >"$log" 2>&1 </dev/null || { tail -n 30 "$log" >&2; return 1; }
    }
    install() { apt_get install --no-install-recommends "$@"; }

    # two callers of ours at once would restore each other's files
    exec 8>/var/lock/pg_trickle-apt.lock
    flock 8

    if [ ! -e "$policy" ]; then
        made_policy=1
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi

    # an index that is missing or knows only superseded versions
    apt_get install --no-install-recommends --print-uris "$@" 2>/dev/null &&
        apt_get install --no-install-recommends --download-only "$@" 2>/dev/null ||
        apt_get update || return 1

    case " $* " in
        *" postgresql-"[1-9]*)
            [ -e "$conf" ] || install postgresql-common || return 1
            saved=$(mktemp)
            cat "$conf" >"$saved"
            echo "create_main_cluster = false" >>"$conf"
            ;;
    esac
    install "$@"
)

# ---------------------------------------------------------------------------
# Which server, which user, which folders
# ---------------------------------------------------------------------------

# Sets PGT_PG (label), PGT_BASE_CONFIG (its pg_config), PGT_BUILD (our folder
# for it), PGT_USER (whom the server runs as; empty: the caller).
pgt_choose_server() {
    if [ -n "${PG_CONFIG:-}" ]; then
        PGT_BASE_CONFIG=$(command -v "$PG_CONFIG") ||
            pgt_die "cannot run \"$PG_CONFIG\""
        PGT_PG=custom-$("$PGT_BASE_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')-$(
            realpath "$PGT_BASE_CONFIG" | cksum | cut -d' ' -f1)
        [ -e "$("$PGT_BASE_CONFIG" --pgxs)" ] ||
            pgt_die "the server of \"$PG_CONFIG\" has no development files (PGXS)"
        pgt_need_packages gcc libc6-dev make
    else
        PGT_PG=${PG:-15}
        PGT_BASE_CONFIG=$("$PGT_ROOT/tools/postgres.sh" "$PGT_PG") || exit 1
    fi
    PGT_BUILD=$PGT_ROOT/build/$PGT_PG
    mkdir -p "$PGT_BUILD"
    pgt_choose_user
}

pgt_choose_user() {
    PGT_USER=
    if [ "$(id -u)" = 0 ]; then
        if id postgres >/dev/null 2>&1; then PGT_USER=postgres; else PGT_USER=nobody; fi
    fi
}

# Run a command as the server's user, without our lock files. The command is
# found along the caller's PATH.
pgt_as_user() {
    if [ -n "$PGT_USER" ]; then
        runuser -u "$PGT_USER" -- env HOME="${PGT_RUN:-/}" USER="$PGT_USER" \
            LOGNAME="$PGT_USER" PATH="$PATH" "$@" 8>&- 9>&-
    else
        "$@" 8>&- 9>&-
    fi
}

# A folder for temporary files that the server's user can reach.
pgt_tmp_base() {
    local d
    for d in "${TMPDIR:-/var/tmp}" /var/tmp /tmp; do
        if [ -d "$d" ] && (cd / && pgt_as_user test -x "$d"); then
            echo "$d"
            return
        fi
    done
    pgt_die "user \"$PGT_USER\" can use none of \$TMPDIR, /var/tmp and /tmp"
}

# Sets PGT_RUN, a folder for installation, data and results that the server's
# user can reach: PGT_BUILD, unless the checkout lies where that user cannot
# go. Then it is a folder elsewhere: with the argument "temporary" a new one
# that the caller removes (PGT_RUN_TEMPORARY=1), else (permanent) always the
# same one.
pgt_choose_run_dir() {
    PGT_RUN_TEMPORARY=
    if [ -z "$PGT_USER" ] ||
        (cd / && pgt_as_user test -r "$PGT_ROOT/Makefile" -a -x "$PGT_BUILD"); then
        PGT_RUN=$PGT_BUILD
    elif [ "${1:-}" = temporary ]; then
        PGT_RUN=$(mktemp -d "$(pgt_tmp_base)/pg_trickle-XXXXXX")
        PGT_RUN_TEMPORARY=1
        chmod 755 "$PGT_RUN"
    else
        PGT_RUN=$(pgt_tmp_base)/pg_trickle-$(echo "$PGT_BUILD" | cksum | cut -d' ' -f1)
        [ -d "$PGT_RUN" ] || mkdir "$PGT_RUN"
        [ -O "$PGT_RUN" ] || pgt_die "\"$PGT_RUN\" belongs to somebody else"
    fi
}

# A short, private folder for sockets (their path is limited to 107 bytes).
pgt_make_socket_dir() {
    local d
    d=$(mktemp -d /tmp/pgt-XXXXXX)
    [ -z "$PGT_USER" ] || chown "$PGT_USER" "$d"
    echo "$d"
}

# ---------------------------------------------------------------------------
# Private installation
# ---------------------------------------------------------------------------

# Mirror the installation of pg_config $1 under $2: the path below $2 is the
# path of the original. Programs are copied, because they find share and lib
# relative to where their own file really is; everything else is linked.
pgt_mirror_installation() {
    local config=$1 dest=$2 bin lib share include server stamp f
    bin=$("$config" --bindir)
    stamp="$config $("$config" --version) $(stat -c %Y "$bin/postgres")"
    if [ "$(cat "$dest/.stamp" 2>/dev/null)" = "$stamp" ]; then
        return
    fi
    lib=$("$config" --pkglibdir)
    share=$("$config" --sharedir)
    include=$("$config" --includedir)
    server=$("$config" --includedir-server)

    rm -rf "$dest"
    mkdir -p "$dest$bin" "$dest$lib" "$dest$share/extension" "$dest$(dirname "$include")"
    cp -a "$bin/." "$dest$bin/"
    find "$lib" -mindepth 1 -maxdepth 1 ! -name 'pg_trickle*' -exec ln -s -t "$dest$lib" {} +
    find "$share" -mindepth 1 -maxdepth 1 ! -name extension -exec ln -s -t "$dest$share" {} +
    find "$share/extension" -mindepth 1 -maxdepth 1 ! -name 'pg_trickle[.-]*' \
        -exec ln -s -t "$dest$share/extension" {} +
    # the pgxs tree is linked above as part of lib
    if [ "$include" = /usr/include ]; then
        mkdir -p "$dest$(dirname "$server")"
        ln -s "$server" "$dest$server"
    else
        ln -s "$include" "$dest$include"
        if [ ! -e "$dest$server" ]; then
            mkdir -p "$dest$(dirname "$server")"
            ln -s "$server" "$dest$server"
        fi
    fi
    for f in bin lib share include server; do
        [ -d "$dest${!f}" ] || pgt_die "could not mirror ${!f}"
    done
    if [ "$("$dest$bin/pg_config" --sharedir)" != "$dest$share" ]; then
        pgt_die "the server of \"$config\" cannot be relocated"
    fi
    echo "$stamp" >"$dest/.stamp"
}

# Copy the sources to PGT_BUILD/src with their time stamps, and remove there
# what is gone here.
pgt_copy_sources() {
    local src=$PGT_BUILD/src gone
    mkdir -p "$src"
    (cd "$PGT_ROOT" && find Makefile pg_trickle.control src sql test -type f \
        ! -name '*.o' ! -name '*.d' ! -name '*.so' ! -name '*.tmp' | sort) >"$src/.files.new"
    gone=$(comm -13 "$src/.files.new" "$src/.files" 2>/dev/null || true)
    if [ -n "$gone" ]; then
        (cd "$src" && echo "$gone" | sed 'p; s/\.c$/.o/; p; s/\.o$/.d/' | xargs -d '\n' rm -f
            rm -f ./*.so pg_trickle--*.sql)
    fi
    mv "$src/.files.new" "$src/.files"
    (cd "$PGT_ROOT" && xargs -d '\n' cp -a --parents -t "$src") <"$src/.files"
}

# Sets PG_CONFIG (that of the mirror PGT_RUN/root), PGT_BINDIR, PGT_PGXS_DIR
# (its pgxs/src) and PGT_MAJOR, without making anything.
pgt_use_installation() {
    PGT_BINDIR=$PGT_RUN/root$("$PGT_BASE_CONFIG" --bindir)
    PGT_PGXS_DIR=$PGT_RUN/root$(realpath -sm "$("$PGT_BASE_CONFIG" --pgxs)/../..")
    PGT_MAJOR=$("$PGT_BASE_CONFIG" --version | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
    PG_CONFIG=$PGT_BINDIR/pg_config
    export PG_CONFIG
}

# Compile in PGT_BUILD/src and install into the mirror PGT_RUN/root; see
# pgt_use_installation for what it sets. Arguments are make targets.
pgt_build_and_install() {
    pgt_use_installation
    (
        exec 9>"$PGT_BUILD/.lock"
        flock 9
        pgt_mirror_installation "$PGT_BASE_CONFIG" "$PGT_RUN/root" || exit 1
        pgt_copy_sources || exit 1
        # compiled with the original's header paths: the mirror may be temporary
        pgt_make PG_CONFIG="$PGT_BASE_CONFIG" "$@" || exit 1
        # the linker leaves these to the server, which would not start
        missing=$(nm -D --undefined-only "$PGT_BUILD/src/pg_trickle.so" | grep -o 'pgt_.*' | xargs)
        [ -z "$missing" ] || { pgt_say "not defined anywhere: $missing"; exit 1; }
        pgt_make PG_CONFIG="$PG_CONFIG" install || exit 1
    ) || pgt_die "build failed"
}

pgt_make() {
    make -s --no-print-directory -C "$PGT_BUILD/src" -j"$(nproc)" \
        WERROR="${WERROR:-}" "$@" 9>&-
}

# ---------------------------------------------------------------------------
# Throw-away clusters: DIR/data, DIR/log, DIR/socket (a link)
# ---------------------------------------------------------------------------

# Create a cluster in DIR. Its superuser is postgres; it listens on a unix
# socket in a private folder only. Further arguments are lines for
# postgresql.conf, which win over ours.
pgt_cluster_init() {
    local dir=$1 data=$1/data
    shift
    mkdir -p "$dir"
    [ -z "$PGT_USER" ] || chown "$PGT_USER" "$dir"
    (cd / && pgt_as_user "$PGT_BINDIR/initdb" -D "$data" -U postgres -A trust --no-sync \
        --locale=C --encoding=UTF8 >"$dir/initdb.log" 2>&1) ||
        { cat "$dir/initdb.log" >&2; pgt_die "initdb failed"; }
    {
        cat <<'CONF'
# settings of pg_trickle's throw-away clusters
listen_addresses = ''
port = 5432
shared_preload_libraries = 'pg_trickle'
wal_level = logical
fsync = off
max_prepared_transactions = 10
max_worker_processes = 24
log_line_prefix = '%m [%p] %b %d '
log_timezone = 'UTC'
CONF
        if [ -f "$PGT_ROOT/test/postgresql.conf" ]; then cat "$PGT_ROOT/test/postgresql.conf"; fi
        printf '%s\n' "$@"
    } >>"$data/postgresql.conf"
}

# Start the cluster in DIR and point PGHOST, PGPORT, PGUSER and PGDATABASE at
# it. Arguments after DIR are further options of the server (-c name=value).
pgt_cluster_start() {
    local dir=$1 socket
    shift
    socket=$(readlink "$dir/socket" || true)
    if [ -z "$socket" ] || [ ! -d "$socket" ]; then
        socket=$(pgt_make_socket_dir)
        ln -sfn "$socket" "$dir/socket"
    fi
    (cd / && pgt_as_user "$PGT_BINDIR/pg_ctl" -c -D "$dir/data" -l "$dir/log" -w -t 60 -s \
        -o "-k $socket $*" start >/dev/null) ||
        { tail -n 30 "$dir/log" >&2; pgt_die "could not start the server"; }
    pgt_cluster_env "$dir"
}

pgt_cluster_env() {
    PGHOST=$(readlink "$1/socket")
    PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
    export PGHOST PGPORT PGUSER PGDATABASE
}

# Stop the cluster in DIR if it runs. The second argument is pg_ctl's mode.
pgt_cluster_stop() {
    local dir=$1 socket
    pgt_stop_servers "$dir" "${2:-fast}"
    socket=$(readlink "$dir/socket" || true)
    case $socket in
        /tmp/pgt-*) rm -rf "$socket" ;;
    esac
    rm -f "$dir/socket"
}

pgt_cluster_running() {
    local pid
    pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && pgt_pid_serves "$pid" "$1/data"
}

# Is PID a server whose data folder is $2?
pgt_pid_serves() {
    [ "$(readlink "/proc/$1/cwd" 2>/dev/null)" = "$(realpath "$2")" ]
}

# Stop every server whose data folder lies under DIR, by its pid, and wait.
pgt_stop_servers() {
    local dir=$1 signal=INT file pid i
    [ "${2:-fast}" = fast ] || signal=QUIT
    [ -d "$dir" ] || return 0
    find "$dir" -name postmaster.pid -type f | while read -r file; do
        pid=$(head -n 1 "$file" 2>/dev/null) || continue
        pgt_pid_serves "$pid" "$(dirname "$file")" || continue
        kill -"$signal" "$pid" || continue
        for ((i = 0; i < 300; i++)); do
            kill -0 "$pid" 2>/dev/null || continue 2
            [ $i != 100 ] || kill -QUIT "$pid" 2>/dev/null || true
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null || true
    done
}

# What the log of the cluster in DIR tells of crashes, with a stack for each where
# the system leaves a core file and there is gdb. False if it tells of none.
pgt_report_crashes() {
    local dir=$1 pattern pid place core
    grep -E 'TRAP:|PANIC|terminated by signal ([^9]|9[0-9])' "$dir/log" || return 1
    pattern=$(cat /proc/sys/kernel/core_pattern 2>/dev/null || echo core)
    case $pattern in
        "|"*) return 0 ;;
        /*) place=${pattern%/*} ;;
        *) place=$dir/data ;;
    esac
    command -v gdb >/dev/null || return 0
    for pid in $(sed -n 's/.*(PID \([0-9]*\)) was terminated by signal.*/\1/p' "$dir/log"); do
        core=$(find "$place" -maxdepth 1 -type f -newer "$dir/data/PG_VERSION" \
            \( -name core -o -name "*[!0-9]$pid" -o -name "*[!0-9]$pid[!0-9]*" \) 2>/dev/null | head -n 1)
        [ -n "$core" ] || continue
        echo "stack of process $pid, from $core:"
        gdb -batch -nx -ex bt "$PGT_BINDIR/postgres" "$core" 2>/dev/null | grep '^#' | head -n 60
    done
}

pgt_psql() {
    "$PGT_BINDIR/psql" -X -v ON_ERROR_STOP=1 "$@"
}
