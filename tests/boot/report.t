#!/bin/bash
# vireo report: the page as an XML parser sees it, and what the command refuses. Needs no KVM.
# time limit: 60
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/boot/tap.sh
. tests/boot/tap.sh
VIREO=$PWD/build/vireo
GOLDEN=$PWD/tests/unit/golden/result_exits.json
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# refuses TEXT WORD...: status 125, nothing on standard output, TEXT in the one sentence.
refuses() {
    local text=$1 got=0
    shift
    "$VIREO" report "$@" > out 2> err < /dev/null || got=$?
    [ $got = 125 ] && [ ! -s out ] && head -n 1 err | grep -qF -- "$text" || { echo "vireo report $*: $got"; cat out err; return 1; }
}

is_well_formed() {
    "$VIREO" report "$GOLDEN" -o page.html && "$VIREO" report "$GOLDEN" "$GOLDEN" > two.html && xmllint --noout page.html two.html
}
# Each row's id once as a heading of a table's line, at least.
has_every_row() {
    local row
    for row in $(grep -o '"row": *"[a-z0-9_]*"' "$GOLDEN" | sed 's/.*"\(.*\)"/\1/' | sort -u); do
        [ "$(xmllint --xpath "count(//tbody//th[.='$row'])" page.html)" -ge 1 ] || { echo "no $row"; return 1; }
    done
    [ "$(xmllint --xpath 'count(//*[local-name()="svg"])' page.html)" -ge 2 ]
}
spares_the_result_it_reads() {
    cp "$GOLDEN" mine.json
    ln -s mine.json link.json
    refuses "would be lost" mine.json -o mine.json && refuses "would be lost" "$GOLDEN" mine.json -o link.json && cmp mine.json "$GOLDEN"
}
refuses_bad_words() {
    echo '{"schema":"other"}' > other.json
    echo '{' > broken.json
    # shellcheck disable=SC2046  # seventeen words
    refuses "no result file given" && refuses "open none.json: No such file" none.json && refuses "not a file" . &&
        refuses "other.json: " other.json && refuses "broken.json: line " broken.json &&
        refuses "17 results" $(yes x | head -n 17) && refuses "unknown option --outptu" --outptu x
}
keeps_what_is_there() {
    echo kept > page && refuses "open none.json" none.json -o page && [ "$(cat page)" = kept ] &&
        refuses "open no/page: No such file" "$GOLDEN" -o no/page
}

echo 1..5
check "a page is well-formed" is_well_formed
check "every row is on it, and plots" has_every_row
check "a page does not take the place of its own result" spares_the_result_it_reads
check "what is no result is refused in one sentence" refuses_bad_words
check "a page that can't be made leaves the old one alone" keeps_what_is_there
