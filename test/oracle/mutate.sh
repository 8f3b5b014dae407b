#!/bin/bash
# mutate.sh [REGEX]: does the oracle notice broken delta rules?
#
# Applies each change of the file mutations whose name matches to a scratch copy of this tree,
# builds it, and runs the oracle until it fails. A mutation that survives is
# printed, and fails the run: either the oracle has a blind spot, or the rule
# is not needed. The unchanged copy must pass first.
#
# Variables, besides those of tools/lib.sh:
#   CASES   cases to run for each (default 200)
#   SEED    first seed (default 1)
#   AFTER   start after the line of the file mutations that holds this
#   IN      where the server's data goes, for instance /dev/shm
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd -P)
cases=${CASES:-200}
seed=${SEED:-1}
scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/pgt-mutate-XXXXXX")
chmod 755 "$scratch"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

mkdir "$scratch/tree"
(cd "$root" && tar cf - --exclude=./build --exclude=./.git --exclude='*.o' --exclude='*.d' .) |
    tar xf - -C "$scratch/tree"

# The oracle's first complaint; nothing when it has none.
run() {
    (cd "$scratch/tree" && test/oracle/run --pg "${PG:-15}" --name mutant --seed "$seed" \
        ${IN:+--in "$IN"} --cases "$cases" --no-reduce --progress 0 "$@" >"$scratch/out" 2>&1) && return 0
    grep -m 1 -E 'FAILED|TRAP|error:' "$scratch/out" || tail -n 3 "$scratch/out"
}

said=$(run)
if [ -n "$said" ]; then
    echo "the unchanged tree fails: $said"
    exit 1
fi
noticed=0 survived=0
while IFS='|' read -r name file expression options; do
    name=$(echo "$name" | sed 's/ *$//')
    read -r -a files <<<"$file"
    expression=${expression# }
    options=${options:-}
    case $name in '' | '#'*) continue ;; esac
    [[ $name =~ ${1:-.} ]] || continue
    changed=
    for file in "${files[@]}"; do
        sed "$expression" "$root/$file" >"$scratch/tree/$file"
        cmp -s "$root/$file" "$scratch/tree/$file" || changed=1
    done
    if [ -z "$changed" ]; then
        echo "STALE    $name: changes nothing in ${files[*]}"
        survived=$((survived + 1))
        continue
    fi
    # shellcheck disable=SC2086
    said=$(run $options)
    if grep -q 'build failed' "$scratch/out"; then
        echo "BROKEN   $name: does not compile"
        survived=$((survived + 1))
    elif [ -n "$said" ]; then
        noticed=$((noticed + 1))
        echo "noticed  $name: ${said:0:110}"
    else
        survived=$((survived + 1))
        echo "SURVIVED $name"
    fi
    for file in "${files[@]}"; do
        cp "$root/$file" "$scratch/tree/$file"
    done
done < <(sed -n "${AFTER:+1,/$AFTER/!}p" "$root/test/oracle/mutations" | sed 's/\\|/\x01/g; s/||/\x02/g' | sed 's/\x02/\\x7c\\x7c/g')
echo "$noticed mutations noticed, $survived not"
[ "$survived" = 0 ] && [ "$noticed" -gt 0 ]
