#!/bin/bash
# time limit: 900
# Every fuzz target replays its corpus (tests/fuzz/corpus/NAME, small inputs that reach far), then goes on from there for FUZZ_SECONDS (10), two
# targets side by side. `make fuzz` builds them into build/fuzz. An input that breaks one is left there as crash-NAME-*.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 1

seconds=${FUZZ_SECONDS-10}
out=build/fuzz
jobs=2
limits=(-timeout=10 -rss_limit_mb=1024)     # an input that takes seconds or a gigabyte is a finding

mapfile -t targets < <(basename -s .c tests/fuzz/fuzz_*.c | sed 's/^fuzz_//')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

replay() { "$out/fuzz_$1" "${limits[@]}" -artifact_prefix="$out/crash-$1-" -runs=0 "tests/fuzz/corpus/$1"; }

# New inputs go to a folder that is thrown away: what is worth keeping is put into the corpus by hand.
explore() {
    mkdir "$work/$1"
    "$out/fuzz_$1" "${limits[@]}" -artifact_prefix="$out/crash-$1-" -max_total_time="$seconds" -print_final_stats=1 \
        "$work/$1" "tests/fuzz/corpus/$1"
}

# Both, for one target; what they say and how they end goes to files.
try() {
    if [ -z "$(ls "tests/fuzz/corpus/$1" 2> /dev/null)" ]; then
        echo "tests/fuzz/corpus/$1 has no input" > "$work/$1.replay"
    else
        replay "$1" > "$work/$1.replay" 2>&1 && touch "$work/$1.replay.ok"
    fi
    explore "$1" > "$work/$1.explore" 2>&1 && grep -q '^stat::number_of_executed_units: *[1-9]' "$work/$1.explore" && touch "$work/$1.explore.ok"
}

n=0
say() { # ok-file NAME log
    n=$((n + 1))
    if [ -e "$1" ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; tail -n 40 "$3" | sed 's/^/# /'; fi
}

for target in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge $jobs ]; do wait -n; done
    try "$target" &
done
wait
for target in "${targets[@]}"; do
    say "$work/$target.replay.ok" "${target}_survives_its_corpus" "$work/$target.replay"
    say "$work/$target.explore.ok" "${target}_survives_${seconds}_s_of_new_inputs" "$work/$target.explore"
    sed -n 's/^stat::number_of_executed_units: */# inputs tried: /p' "$work/$target.explore"
done
echo "1..$n"
