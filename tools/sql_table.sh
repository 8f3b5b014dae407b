#!/bin/bash
# sql_table.sh: writes what SQL is supported into README.md and doc/sql.md.
#
#   tools/sql_table.sh          rewrites the parts between the marker lines
#   tools/sql_table.sh check    says whether they are up to date (exit status)
#
# The source is test/expected/sql_support.out, hence what the product says and
# does: run "make test REGRESS=sql_support ACCEPT=1" first.
set -euo pipefail
cd "$(dirname "$0")/.."
out=test/expected/sql_support.out

# rows "topic|construct|how|code" and "code|reason" of the test's output
rows() { awk -F'|' '/^topic\|/ { on = 1; next } /^-- / { on = 0 } on && NF == 4' $out; }
reasons() { awk -F'|' '/^code\|result/ { on = 1; next } /^-- / { on = 0 } on && NF == 2' $out; }

summary() {
    echo "| | maintained by deltas | recomputed by each refresh | refused |"
    echo "|---|---|---|---|"
    rows | awk -F'|' '
        $1 != topic { flush(); topic = $1; list["differential"] = list["recomputed"] = list["refused"] = "" }
        { list[$3] = list[$3] (list[$3] == "" ? "" : "; ") $2 }
        function flush() {
            if (topic != "")
                printf "| **%s** | %s | %s | %s |\n", topic, list["differential"], list["recomputed"], list["refused"]
        }
        END { flush() }'
}

details() {
    echo "| construct | AUTO | reason code |"
    echo "|---|---|---|"
    rows | awk -F'|' '
        $1 != topic { topic = $1; printf "| **%s** | | |\n", topic }
        { printf "| %s | %s | %s |\n", $2, $3, $4 == "" ? "" : "`" $4 "`" }'
}

codes() {
    echo "| code | what the product says, for example |"
    echo "|---|---|"
    reasons | awk -F'|' '{ gsub(/sqls\./, "", $2); gsub(/ \(at character [0-9]+\)/, "", $2); printf "| `%s` | %s |\n", $1, $2 }'
}

# replace FILE NAME: what stands between <!-- NAME --> and <!-- end -->
replace() {
    awk -v name="<!-- $2 -->" -v text="$("$2")" '
        $0 == name { print; print text; skip = 1; next }
        $0 == "<!-- end -->" { skip = 0 }
        !skip' "$1"
}

result=0
for part in README.md:summary doc/sql.md:details doc/sql.md:codes; do
    file=${part%:*}
    new=$(replace "$file" "${part#*:}")
    [ "$new" != "$(cat "$file")" ] || continue
    if [ "${1:-}" = check ]; then
        echo "$file is not up to date: run tools/sql_table.sh"
        result=1
    else
        printf '%s\n' "$new" >"$file"
        echo "$file: ${part#*:} written"
    fi
done
exit $result
