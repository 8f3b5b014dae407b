#!/bin/bash
# postgres.sh VERSION: make sure that a PostgreSQL server is there to build and
# test against, and print the path of its pg_config.
#
#   15          Debian's packages; installed when missing
#   17, 18      built with -O2 from the source tarball in Debian's trixie, forky
#   18-assert   the same, with assertions (17-assert works, too)
#
# Built servers are kept in a cache by source version, configure line and
# compiler. Tarballs come from the mirror that apt is configured with, checked
# by apt against Debian's signatures.
#
# Variables:
#   PGT_CACHE   the cache (default: /var/cache/pg_trickle for root, else
#               ~/.cache/pg_trickle)
set -euo pipefail
# shellcheck source=tools/lib.sh
. "$(dirname "$0")/lib.sh"

version=${1:-}
cache=${PGT_CACHE:-$(if [ "$(id -u)" = 0 ]; then echo /var/cache/pg_trickle
    else echo "$HOME/.cache/pg_trickle"; fi)}

main() {
    case $version in
        15) debian_packages ;;
        17 | 17-assert) source_build 17 trixie ;;
        18 | 18-assert) source_build 18 forky ;;
        *) pgt_die "unknown server version \"$version\": use 15, 17, 17-assert, 18 or 18-assert" ;;
    esac
}

# With libipc-run-perl for TAP tests, and what PGXS needs to compile.
debian_packages() {
    local dir=/usr/lib/postgresql/$version
    # pgxs.mk comes with the client package already, the headers do not
    if [ -x "$dir/bin/postgres" ] && [ -e "$dir/lib/pgxs/src/makefiles/pgxs.mk" ] &&
        [ -e "/usr/include/postgresql/$version/server/postgres.h" ]; then
        pgt_need_packages gcc libc6-dev make libipc-run-perl
    else
        pgt_need_packages "postgresql-$version" "postgresql-server-dev-$version" \
            gcc libc6-dev make libipc-run-perl
    fi
    echo "$dir/bin/pg_config"
}

source_build() {
    local major=$1 suite=$2 tarball prefix cflags="-O2 -g"
    local options=(--with-icu --with-libxml --with-lz4 --with-zstd --with-openssl --enable-tap-tests)
    if [[ $version = *-assert ]]; then
        options+=(--enable-cassert --enable-debug)
    fi
    pgt_need_packages gcc libc6-dev make bison flex perl pkg-config bzip2 xz-utils \
        libicu-dev libxml2-dev liblz4-dev libzstd-dev libreadline-dev zlib1g-dev libssl-dev libipc-run-perl

    mkdir -p "$cache/source"
    pgt_choose_user
    (cd / && pgt_as_user test -x "$cache") ||
        pgt_die "user \"$PGT_USER\" cannot reach the cache \"$cache\": set PGT_CACHE"

    # one caller builds, others of the same version wait and find the result
    exec 9>"$cache/$version.lock"
    flock 9
    tarball=$(cached_tarball "$major")
    if [ -z "$tarball" ]; then
        fetch_tarball "$major" "$suite"
        tarball=$(cached_tarball "$major")
        [ -n "$tarball" ] || pgt_die "could not find the source of PostgreSQL $major"
    fi
    prefix=$cache/$(basename "$tarball" | sed 's/.*_\(.*\)\.orig.*/\1/')${version#"$major"}-$(
        { echo "$cflags ${options[*]}"; gcc --version | head -n 1; } | sha256sum | cut -c1-8)
    if [ ! -x "$prefix/bin/pg_config" ]; then
        build "$tarball" "$prefix" "$cflags" "${options[@]}"
    fi
    echo "$prefix/bin/pg_config"
}

cached_tarball() {
    find "$cache/source" -name "postgresql-$1_*.orig.tar.*" | sort -V | tail -n 1
}

# Have apt find, download and verify the source, with a state folder of its
# own: the machine's package lists stay as they are. The mirror may be a frozen
# copy, so that its (signed) index is out of date.
fetch_tarball() {
    local major=$1 suite=$2 uri tmp options
    pgt_say "fetching the source of PostgreSQL $major"
    tmp=$(mktemp -d "$cache/source/tmp-XXXXXX")
    mkdir -p "$tmp"/{lists,archives}/partial "$tmp/out"
    : >"$tmp/status"
    options=(-q -o Dir::State="$tmp" -o Dir::State::lists="$tmp/lists"
        -o Dir::State::status="$tmp/status" -o Dir::Cache="$tmp"
        -o Dir::Etc::sourcelist="$tmp/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o APT::Sandbox::User=root -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o Acquire::Retries=3)
    # the first repository that apt knows and that has the suite
    # shellcheck disable=SC2016
    for uri in $(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' \
        'Created-By: Packages' | awk '$2 == "main" && !seen[$1]++ { print $1 }'); do
        echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri $suite main" \
            >"$tmp/sources.list"
        if apt-get "${options[@]}" --error-on=any update >"$tmp/log" 2>&1 &&
            (cd "$tmp/out" && apt-get "${options[@]}" source --download-only --tar-only \
                "postgresql-$major") >>"$tmp/log" 2>&1; then
            mv "$tmp"/out/postgresql-"$major"_*.orig.tar.* "$cache/source/"
            rm -rf "$tmp"
            return
        fi
    done
    tail -n 20 "$tmp/log" >&2
    rm -rf "$tmp"
    pgt_die "could not fetch the source of PostgreSQL $major from apt's mirrors"
}

# Built for its final place, installed beside it, and moved there complete.
build() {
    local tarball=$1 prefix=$2 cflags=$3 tmp log
    shift 3
    tmp=$(mktemp -d "$cache/build-XXXXXX")
    log=$cache/$(basename "$prefix").log
    # shellcheck disable=SC2064
    trap "rm -rf '$tmp'" EXIT
    pgt_say "building $(basename "$prefix") (a few minutes; log: $log)"
    mkdir "$tmp/source" "$tmp/build"
    # in the background, because "set -e" does nothing inside a condition
    (
        set -e
        tar -xf "$tarball" -C "$tmp/source" --strip-components=1
        cd "$tmp/build"
        make() { nice -n "${PGT_NICE:-10}" make -s -j"$(nproc)" "$@"; }
        CFLAGS="$cflags" nice -n "${PGT_NICE:-10}" \
            "$tmp/source/configure" --quiet --prefix="$prefix" "$@"
        make
        make -C contrib
        for dir in . contrib src/test/isolation src/test/regress; do
            make -C "$dir" install DESTDIR="$tmp/install"
        done
    ) >"$log" 2>&1 9>&- </dev/null &
    if ! wait $!; then
        tail -n 40 "$log" >&2
        pgt_die "could not build $(basename "$prefix")"
    fi
    chmod -R a+rX "$tmp/install"
    mv "$tmp/install$prefix" "$prefix"
    rm -rf "$tmp"
}

main
exit
